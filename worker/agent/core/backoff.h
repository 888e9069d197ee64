// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The waits between the tries of something that fails: each is twice the one before. A value.
#ifndef WATTLE_WORKER_AGENT_CORE_BACKOFF_H_
#define WATTLE_WORKER_AGENT_CORE_BACKOFF_H_

#include <algorithm>

#include "absl/time/time.h"

namespace wattle::agent {

class Backoff {
 public:
  explicit Backoff(absl::Duration first) : first_(first), next_(first) {}

  // Counts a failed try. Returns the wait before the next try: `longest` at most.
  absl::Duration AfterFailure(absl::Duration longest) {
    ++failures_;
    const absl::Duration wait = std::min(next_, longest);
    next_ = std::min(2 * wait, longest);
    return wait;
  }
  void Reset() { *this = Backoff(first_); }
  [[nodiscard]] int failures() const { return failures_; }

 private:
  absl::Duration first_;
  absl::Duration next_;
  int failures_ = 0;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_BACKOFF_H_
