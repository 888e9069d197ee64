// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/emulation/emulated_pace.h"

#include <algorithm>
#include <utility>

namespace wattle::agent {
namespace {

// The lag of this machine behind the board, as a share of all steps or as wall time, above which
// the receipt says that the machine could not keep the pace.
constexpr double kLagShare = 0.02;
constexpr absl::Duration kLagWall = absl::Milliseconds(250);

}  // namespace

void EmulatedPace::SetActivity(Monotonic from, Activity activity) {
  emulator_->SetActivity(from, activity);
}

Monotonic EmulatedPace::TransferEnd(Monotonic begin, int64_t moved_bytes, Monotonic now) const {
  return std::max(now, begin + emulator_->TransferTime(moved_bytes));
}

std::optional<WorkSpan> EmulatedPace::BeginRunner(const v1::RunnerTask& task, int64_t model_bytes,
                                                  Monotonic now) {
  emulator_->BeginRun(task.spec(), ReadModelDimensions(task.model_directory()));
  gate_opens_.reset();
  lag_ = absl::ZeroDuration();
  if (task.attempt_id() != attempt_id_) {
    attempt_id_ = task.attempt_id();
    lag_total_ = absl::ZeroDuration();
  }
  schedule_ = now + emulator_->StartTime(model_bytes);
  return WorkSpan{now, schedule_};
}

// A phase begins when the one before has ended on the board and this machine has reached it,
// because this machine may be slower to load a model or to write a checkpoint.
Monotonic EmulatedPace::BeginPhase(Monotonic now) {
  schedule_ = std::max(schedule_, now);
  KeepLag();
  return schedule_;
}

Monotonic EmulatedPace::EndStep(const v1::StepDone& step, Monotonic now) {
  schedule_ = emulator_->StepEnd(step, schedule_);
  gate_opens_ = schedule_;
  lag_ = now - schedule_;
  return std::max(now, schedule_);  // the later of this machine and the board
}

std::optional<WorkSpan> EmulatedPace::EndWrite(int64_t size_bytes, Monotonic /*now*/) {
  KeepLag();
  const Monotonic begin = schedule_;
  schedule_ = schedule_ + emulator_->CheckpointTime(size_bytes);
  return WorkSpan{begin, schedule_};
}

// Counts the lag of a phase's last step only, because later steps may make up for an earlier lag.
void EmulatedPace::KeepLag() {
  lag_total_ += std::max(std::exchange(lag_, absl::ZeroDuration()), absl::ZeroDuration());
}

bool EmulatedPace::Overrun(absl::Duration step_time) const {
  // In the middle of a phase its lag so far counts.
  const absl::Duration lag = lag_total_ + std::max(lag_, absl::ZeroDuration());
  return lag > std::max(kLagShare * step_time, kLagWall / time_scale_);
}

}  // namespace wattle::agent
