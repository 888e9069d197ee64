// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a device learns about its own interruptions, and what its card has to bear: both decide how
// often a fine-tune writes a checkpoint (proto/checkpoint_interval.h). Kept over restarts. Reads no
// clock; use it from one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_CHECKPOINT_CADENCE_H_
#define WATTLE_WORKER_AGENT_CORE_CHECKPOINT_CADENCE_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "wattle/v1/worker_state.pb.h"

namespace wattle::agent {

// What checkpoints may write to a card in a day where no policy says.
inline constexpr double kFlashBytesPerDay = 20e9;

class CheckpointCadence {
 public:
  CheckpointCadence() = default;
  // Numbers that no device can have reached count as none.
  explicit CheckpointCadence(const v1::CheckpointCadenceRecord& record);

  // A step was made, in device time.
  void OnWork(absl::Duration step);
  // A runner or the board ended without a checkpoint.
  void OnCut();
  // A checkpoint was written. at: device time.
  void OnWritten(int64_t size_bytes, Monotonic at);

  // The mean work between cuts: one cut in kBetweenCutsPrior is supposed before any is seen, and
  // what is older than a month of work counts half.
  [[nodiscard]] absl::Duration between_cuts() const;
  // From `at` until the budget has room for a checkpoint of this size. The budget is the mean of
  // any 30 days of powered-on time: days of cuts borrow from quiet ones, at most ten days' worth.
  absl::Duration FlashWait(int64_t size_bytes, double bytes_per_day, Monotonic at);

  [[nodiscard]] const v1::CheckpointCadenceRecord& record() const { return record_; }

 private:
  v1::CheckpointCadenceRecord record_;
  std::optional<Monotonic> repaid_at_;  // device time; of flash_debt_bytes
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_CHECKPOINT_CADENCE_H_
