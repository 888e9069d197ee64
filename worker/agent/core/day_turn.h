// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Decides when a count of a day starts anew: with a later day, or once an earlier day was shown for
// 24 powered-on hours, because the clock was ahead before. A clock that is wrong for a while, also
// a coordinator's, therefore grants no day's budget twice, and a clock that was ahead by years
// delays nothing for years, even on a board that is off each night. One thread.
#ifndef WATTLE_WORKER_AGENT_CORE_DAY_TURN_H_
#define WATTLE_WORKER_AGENT_CORE_DAY_TURN_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::agent {

class DayTurn {
 public:
  // Returns true if the count in `record` is over, and a count of `day` begins. day: the day on the
  // clock. Record is BudgetDayRecord or LinkRecord: its earlier_seconds outlive a restart.
  template <typename Record>
  bool BeginsAnew(int64_t day, Monotonic wall, Record& record) {
    if (day < record.day()) {
      const absl::Duration passed = seen_earlier_ ? wall - *seen_earlier_ : absl::ZeroDuration();
      seen_earlier_ = wall;
      record.set_earlier_seconds(record.earlier_seconds() + absl::ToDoubleSeconds(passed));
      if (absl::Seconds(record.earlier_seconds()) < kBelieved) {
        return false;
      }
    }
    const bool begins = day != record.day();
    seen_earlier_.reset();
    record.clear_earlier_seconds();
    return begins;
  }

 private:
  static constexpr absl::Duration kBelieved = absl::Hours(24);

  std::optional<Monotonic> seen_earlier_;  // when the clock last showed an earlier day
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_DAY_TURN_H_
