// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A device's history of interruptions and of writes to its card: both determine how often a
// fine-tune writes a checkpoint (proto/checkpoint_interval.h). Kept over restarts. Reads no clock;
// use it from one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_CHECKPOINT_CADENCE_H_
#define WATTLE_WORKER_AGENT_CORE_CHECKPOINT_CADENCE_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "wattle/v1/worker_state.pb.h"

namespace wattle::agent {

// The daily bytes that checkpoints may write to a card without a policy.
inline constexpr double kFlashBytesPerDay = 20e9;

class CheckpointCadence {
 public:
  CheckpointCadence() = default;
  // Impossible numbers count as 0.
  explicit CheckpointCadence(const v1::CheckpointCadenceRecord& record);

  // A step was made, in device time.
  void OnWork(absl::Duration step);
  // A runner or the board ended without a checkpoint.
  void OnCut();
  // A checkpoint was written. at: device time.
  void OnWritten(int64_t size_bytes, Monotonic at);

  // The mean work between cuts. The estimate starts with one cut in kBetweenCutsPrior, and halves
  // the weight of its history after each month of work.
  [[nodiscard]] absl::Duration between_cuts() const;
  // The time from `at` until the budget has room for a checkpoint of this size. The budget bounds
  // the mean of any 30 days of powered-on time: days of cuts borrow from quiet ones, at most ten
  // days' worth.
  absl::Duration FlashWait(int64_t size_bytes, double bytes_per_day, Monotonic at);

  [[nodiscard]] const v1::CheckpointCadenceRecord& record() const { return record_; }

 private:
  v1::CheckpointCadenceRecord record_;
  std::optional<Monotonic> repaid_at_;  // device time of flash_debt_bytes
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_CHECKPOINT_CADENCE_H_
