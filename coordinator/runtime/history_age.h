// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Age limit of the history. A wall clock that jumps ahead must not remove records, so between two
// looks at most the time on the monotonic clock counts. Pure.
#ifndef WATTLE_COORDINATOR_RUNTIME_HISTORY_AGE_H_
#define WATTLE_COORDINATOR_RUNTIME_HISTORY_AGE_H_

#include <algorithm>
#include <optional>

#include "absl/time/time.h"

#include "coordinator/core/state.h"

namespace wattle::runtime {

// Longest time between two looks; a short history is checked eight times in its length.
inline constexpr absl::Duration kHistoryLookInterval = absl::Hours(6);
inline constexpr int kHistoryLooks = 8;

// One thread at a time.
class HistoryAge {
 public:
  // age_max: how long records are kept; infinite: forever.
  HistoryAge(absl::Duration age_max, const core::Instant& started)
      : age_max_(age_max),
        look_interval_(std::min(kHistoryLookInterval, age_max / kHistoryLooks)),
        last_(started) {}

  // Records older than the returned time may be removed. nullopt: the next look is not due.
  std::optional<absl::Time> RemovableBefore(const core::Instant& now) {
    const absl::Duration passed = now.monotonic - last_.monotonic;
    if (age_max_ == absl::InfiniteDuration() || passed < look_interval_) {
      return std::nullopt;
    }
    const absl::Time seen = std::min(now.wall, last_.wall + passed);
    last_ = now;
    return seen - age_max_;
  }

 private:
  absl::Duration age_max_;
  absl::Duration look_interval_;
  core::Instant last_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_HISTORY_AGE_H_
