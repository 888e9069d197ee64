// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/schedule.h"
#include "tests/fuzz/fuzz_target.h"

// Times of day and zones of a policy.
WATTLE_FUZZ_TARGET(schedule, bytes) {
  (void)policy::ParseAliveTime(bytes).ok();  // any answer except a crash is right
  (void)policy::ParseZone(bytes, 0).ok();
  return policy::ParseDailyWindow(bytes).status();
}
