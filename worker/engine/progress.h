// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Progress reports of the engine, and requests to stop, which are obeyed only at a step boundary.
// Plain values; a sink is called from the thread that runs the job.
#ifndef WATTLE_WORKER_ENGINE_PROGRESS_H_
#define WATTLE_WORKER_ENGINE_PROGRESS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace wattle::engine {

enum class Phase { kLoad, kTrain, kEvaluate, kCheckpoint, kGenerate, kQuantize, kSave };

// "load", "train", …: see RunnerFrame.
[[nodiscard]] absl::string_view PhaseName(Phase phase);

// One optimizer step, one evaluated batch, one generated token, or one quantized layer.
struct StepReport {
  Phase phase = Phase::kTrain;
  int64_t step = 0;  // from 1, within the phase
  int64_t steps_total = 0;
  double loss =
      0.0;  // mean negative log-likelihood of this step's predicted tokens; 0 if there are none
  double heldout_loss = 0.0;  // 0: not measured at this step
  int64_t tokens = 0;         // of this step, including padding
  int64_t real_tokens = 0;
  int64_t tokens_left = 0;  // of the remaining steps in this phase, including padding; 0: unknown
  int64_t examples = 0;
  double flops = 0.0;  // by the usual count, see engine/models/flops.h
  absl::Duration compute_time = absl::ZeroDuration();
  bool skipped = false;   // an optimizer step whose gradient overflowed: no weight was changed
  std::string text = {};  // generation: text added by this step, whole characters
};

struct CheckpointReport {
  int64_t step = 0;
  absl::Duration time = absl::ZeroDuration();
  int64_t size_bytes = 0;
};

enum class StepDecision {
  kGoOn,
  kStop,     // write a checkpoint, if the job has them, and return kCancelled
  kDiscard,  // return kCancelled at once
};

class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void OnPhase(Phase phase, int64_t from_step, int64_t steps_total) = 0;
  // May block (a paced run): the next step begins when the call returns, except for work already
  // queued on a GPU.
  virtual StepDecision OnStep(const StepReport& report) = 0;
  // Whether a training job should write a checkpoint now; called after each step. An order is
  // returned once.
  virtual bool TakeCheckpointOrder() { return false; }
  virtual void OnCheckpoint(const CheckpointReport& report) = 0;
  virtual void OnLog(const std::string& line) = 0;
};

// Work done by a whole job, including resumed parts.
struct WorkTotals {
  int64_t steps = 0;
  int64_t examples = 0;
  int64_t tokens = 0;  // including padding
  int64_t real_tokens = 0;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_PROGRESS_H_
