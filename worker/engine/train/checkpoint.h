// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checkpoints of a training run. One is a directory "checkpoint-<step>" with model.safetensors
// (weights) and optimizer.safetensors (both moments; the counters stand in its metadata). It is
// written as "checkpoint-<step>.partial", each file synced, then renamed and the directory synced:
// it is there whole or not at all. The newest two are kept. One process at a time uses a work
// directory. May throw libtorch's exceptions.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_CHECKPOINT_H_
#define WATTLE_WORKER_ENGINE_TRAIN_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "worker/engine/progress.h"
#include "worker/engine/train/training_state.h"

namespace wattle::engine {

inline constexpr int kCheckpointsKept = 2;

// What a checkpoint is of. A resume needs the same job; another build or number of threads goes on
// "numerically".
struct CheckpointIdentity {
  std::string job;    // settings and data as one line
  std::string build;  // EngineVersion() and threads
};

// Errors: kResourceExhausted for a full disk; what was there before stays.
absl::StatusOr<CheckpointReport> WriteCheckpoint(const std::string& work_directory,
                                                 const CheckpointIdentity& identity,
                                                 const TrainingState& state);

struct RestoredCheckpoint {
  int64_t step = 0;                  // 0: there was none
  bool same_build = true;            // false: going on is exact only within a tolerance
  std::vector<std::string> skipped;  // one line for each newer one that could not be read
};

// Fills weights, moments and counters of `state`, whose model is loaded, from the newest checkpoint
// that can be read, and removes what an interrupted write left. Errors: kFailedPrecondition for a
// checkpoint of another job.
absl::StatusOr<RestoredCheckpoint> RestoreNewestCheckpoint(const std::string& work_directory,
                                                           const CheckpointIdentity& identity,
                                                           TrainingState& state);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_CHECKPOINT_H_
