// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/standard_output.h"

#include <cstdio>
#include <iostream>
#include <string>

namespace wattle {

int AfterOutput(absl::string_view program, int exit_code) {
  std::cout.flush();
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0 && std::cout.good()) {
    return exit_code;
  }
  std::fprintf(stderr, "%s: cannot write the answer to standard output; is the disk full?\n",
               std::string(program).c_str());
  return exit_code == 0 ? 1 : exit_code;
}

}  // namespace wattle
