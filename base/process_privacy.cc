// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/process_privacy.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"

namespace wattle {

void LeaveNoCoreFile() {
  // One byte holds no core file. With 0 bytes the kernel would still start a collector named by
  // /proc/sys/kernel/core_pattern (core(5)).
  rlimit limit = {.rlim_cur = 1, .rlim_max = 1};
  rlimit present = {};
  if (getrlimit(RLIMIT_CORE, &present) == 0 && present.rlim_max < limit.rlim_max) {
    limit = {.rlim_cur = 0, .rlim_max = 0};
  }
  (void)setrlimit(RLIMIT_CORE, &limit);  // A limit may always be lowered.
}

void HideArguments(int argc, char** argv, absl::string_view prefix) {
  for (int i = 1; i < argc; ++i) {
    const size_t length = std::strlen(argv[i]);
    if (absl::StartsWith(argv[i], prefix)) {
      std::fill(argv[i] + prefix.size(), argv[i] + length, '*');
    }
  }
}

}  // namespace wattle
