// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whether the disk under the worker's state takes a small write, found by such a write each minute:
// an idle board writes nothing for minutes, and a refused record shows only that one write failed.
// A sick disk is tried again every 15 s and counts as healthy after one good write. Slow writes
// count once they have come in a row for 25 s; beside large writes of the worker's own, which make
// others slow, only after minutes. Reads no clock; use it from one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_STORAGE_HEALTH_H_
#define WATTLE_WORKER_AGENT_CORE_STORAGE_HEALTH_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::agent {

class StorageHealth {
 public:
  // period: between two writes on a healthy disk; infinite: nothing is tried.
  explicit StorageHealth(absl::Duration period)
      : period_(period),
        next_(Monotonic(period < absl::InfiniteDuration() ? absl::ZeroDuration()
                                                          : absl::InfiniteDuration())) {}

  // Whether a write is to begin now. The caller begins it and tells its end.
  [[nodiscard]] bool TakeDue(Monotonic now);
  // The write ended.
  void OnWritten(const absl::Status& status, Monotonic now);
  // Notices a write that does not end. writes_much: the worker writes a checkpoint or a fetch now.
  // Tell both ends of such a time.
  void Look(bool writes_much, Monotonic now);
  [[nodiscard]] Monotonic NextStep(Monotonic now) const;
  // Kind, what happened and the remedy, one sentence; "": healthy.
  [[nodiscard]] const std::string& problem() const { return problem_; }

  // Whether the last write was slow beside the worker's own, so that the next one should be alone.
  [[nodiscard]] bool suspects() const { return slow_since_ && problem_.empty() && beside_own_; }

 private:
  // The write that began then was or is slow.
  void CountSlow(Monotonic began, Monotonic now);

  absl::Duration period_;
  Monotonic next_;                       // when the next write begins
  std::optional<Monotonic> began_;       // of the write under way
  std::optional<Monotonic> slow_since_;  // begin of the first of the slow writes in a row
  bool beside_own_ = false;              // the newest write ran beside large ones of the worker
  std::string problem_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_STORAGE_HEALTH_H_
