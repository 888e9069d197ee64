// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/exclusive_lock.h"

#include <sys/file.h>

namespace wattle {

bool TakeExclusiveLock(int file, absl::FunctionRef<void(absl::Duration)> wait) {
  constexpr int kTries = 100;
  constexpr absl::Duration kBetweenTries = absl::Milliseconds(10);
  for (int tries = 1; flock(file, LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (tries == kTries) {
      return false;
    }
    wait(kBetweenTries);
  }
  return true;
}

}  // namespace wattle
