// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/standard_output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

namespace wattle {

int AfterOutput(absl::string_view program, int exit_code) {
  errno = 0;
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0 && std::cout.good()) {
    return exit_code;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread, or after the last one
  const char* reason = errno == 0 ? "the answer is not whole" : std::strerror(errno);
  std::fprintf(stderr, "%s: cannot write to standard output: %s\n", std::string(program).c_str(),
               reason);
  return exit_code == 0 ? 1 : exit_code;
}

}  // namespace wattle
