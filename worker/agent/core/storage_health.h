// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Detects whether the disk of the worker's state accepts a small write, by trying one each minute:
// an idle board writes nothing for minutes, and a refused record shows only that one write failed.
// A sick disk is tried again every 15 s and counts as healthy after one good write. Slow writes
// count once they have occurred in a row for 25 s; beside large writes of the worker itself, which
// slow others down, only after minutes. Reads no clock; use it from one thread.
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

  // Whether a write must begin now. The caller begins the write and reports its end.
  [[nodiscard]] bool TakeDue(Monotonic now);
  // The write ended.
  void OnWritten(const absl::Status& status, Monotonic now);
  // Detects a write that does not end. writes_much: the worker is writing a checkpoint or a fetch.
  // Call it at both ends of such a time.
  void Look(bool writes_much, Monotonic now);
  [[nodiscard]] Monotonic NextStep(Monotonic now) const;
  // One sentence with kind, cause and remedy; "": healthy.
  [[nodiscard]] const std::string& problem() const { return problem_; }

  // Whether the last write was slow beside the worker's own writes, so that the next one should run
  // without them.
  [[nodiscard]] bool suspects() const { return slow_since_ && problem_.empty() && beside_own_; }

 private:
  // Counts a write that began at `began` as slow, ended or not.
  void CountSlow(Monotonic began, Monotonic now);

  absl::Duration period_;
  Monotonic next_;                       // time of the next write
  std::optional<Monotonic> began_;       // of the write under way
  std::optional<Monotonic> slow_since_;  // beginning of the first of the slow writes in a row
  bool beside_own_ = false;              // the newest write ran beside large ones of the worker
  std::string problem_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_STORAGE_HEALTH_H_
