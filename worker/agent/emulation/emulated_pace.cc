// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/emulation/emulated_pace.h"

namespace wattle::agent {

void EmulatedPace::SetActivity(Monotonic from, Activity activity) {
  emulator_->SetActivity(from, activity);
}

Monotonic EmulatedPace::TransferEnd(int64_t moved_bytes, Monotonic now) const {
  return now + emulator_->TransferTime(moved_bytes);
}

void EmulatedPace::BeginRunner(const v1::RunnerTask& task, int64_t model_bytes, Monotonic now) {
  emulator_->BeginRun(task.spec(), ReadModelDimensions(task.model_directory()));
  gate_opens_.reset();
  schedule_ = now + emulator_->StartTime(model_bytes);
}

Monotonic EmulatedPace::EndStep(const v1::StepDone& step, Monotonic /*now*/) {
  schedule_ = emulator_->StepEnd(step, schedule_);
  gate_opens_ = schedule_;
  return schedule_;
}

std::optional<WorkSpan> EmulatedPace::EndWrite(int64_t size_bytes, Monotonic /*now*/) {
  const Monotonic begin = schedule_;
  schedule_ = schedule_ + emulator_->CheckpointTime(size_bytes);
  return WorkSpan{begin, schedule_};
}

}  // namespace wattle::agent
