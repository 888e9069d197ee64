// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A clock whose time a test sets.
#ifndef WATTLE_BASE_TESTING_SET_CLOCK_FOR_TEST_H_
#define WATTLE_BASE_TESTING_SET_CLOCK_FOR_TEST_H_

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle {

class SetClock final : public Clock {
 public:
  explicit SetClock(absl::Time start) : now(start) {}
  [[nodiscard]] absl::Time Now() const override { return now; }
  [[nodiscard]] Monotonic Boottime() const override { return {}; }

  absl::Time now;
};

}  // namespace wattle

#endif  // WATTLE_BASE_TESTING_SET_CLOCK_FOR_TEST_H_
