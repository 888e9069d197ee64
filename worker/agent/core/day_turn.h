// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a count of a day begins anew: with a later day, or once an earlier one was shown for 24
// hours, because the clock was ahead then. So a clock that is wrong for a while, a coordinator's
// too, grants no day's budget twice, and one that was ahead by years holds nothing up for years.
// One thread.
#ifndef WATTLE_WORKER_AGENT_CORE_DAY_TURN_H_
#define WATTLE_WORKER_AGENT_CORE_DAY_TURN_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::agent {

class DayTurn {
 public:
  // Whether the count of the day `counted` is over and that of `day`, which the clock shows,
  // begins.
  bool BeginsAnew(int64_t day, int64_t counted, Monotonic wall) {
    if (day >= counted) {
      behind_.reset();
    } else {
      behind_ = behind_.value_or(wall);
    }
    const bool begins = day > counted || (behind_ && wall - *behind_ >= kBelieved);
    if (begins) {
      behind_.reset();
    }
    return begins;
  }

 private:
  static constexpr absl::Duration kBelieved = absl::Hours(24);

  std::optional<Monotonic> behind_;  // since when the clock shows an earlier day
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_DAY_TURN_H_
