// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The waits between retries of a failing operation: each wait doubles, and is drawn at random
// between half of the value and the whole. Many machines that fail at once, because the coordinator
// or its link went away, then do not retry at the same moment. A value; reads no random device.
#ifndef WATTLE_BASE_BACKOFF_H_
#define WATTLE_BASE_BACKOFF_H_

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace wattle {

class Backoff {
 public:
  // seed: of the random draws. Two machines need different seeds, or their waits are equal.
  Backoff(absl::Duration first, uint64_t seed) : first_(first), next_(first), random_(seed) {}

  // Counts a failed try. Returns the wait before the next try: `longest` at most.
  absl::Duration AfterFailure(absl::Duration longest) {
    ++failures_;
    const absl::Duration wait = std::min(next_, longest);
    next_ = std::min(2 * wait, longest);
    // 53 random bits: a number in [0, 1) that is the same with every standard library.
    const double drawn = static_cast<double>(random_() >> 11) * 0x1p-53;
    return wait * (1.0 - 0.5 * drawn);
  }
  void Reset() {
    next_ = first_;
    failures_ = 0;
  }
  [[nodiscard]] int failures() const { return failures_; }

 private:
  absl::Duration first_;
  absl::Duration next_;
  int failures_ = 0;
  std::mt19937_64 random_;
};

}  // namespace wattle

#endif  // WATTLE_BASE_BACKOFF_H_
