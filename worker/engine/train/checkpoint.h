// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checkpoints of a training run. A checkpoint is a directory "checkpoint-<step>" with
// model.safetensors (the trained weights; adapter_model.safetensors if only adapters are trained)
// and optimizer.safetensors (the optimizer's state, or the log of training by forward passes; the
// counters are in its metadata), and for a run that stops early the best weights so far
// (best_weights.h). The directory is written as "checkpoint-<step>.partial", each file synced, then
// renamed and the parent directory synced, so that a checkpoint is complete or absent. Its files
// have checksums, and a run is restored from all of a checkpoint or from none of it. The newest two
// are kept. Only one process at a time may use a work directory. May throw libtorch's exceptions.
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

// The job and environment of a checkpoint. A resume requires the same job; with another build,
// library, instruction set, device or number of threads it continues "numerically".
struct CheckpointIdentity {
  std::string job;    // settings and data as one line
  std::string build;  // everything that determines the order of additions
};

// free_space_reserve_bytes: to be left free on the disk. Errors: kResourceExhausted if the
// checkpoint does not fit; the newest earlier one stays, and the run can continue without this one.
absl::StatusOr<CheckpointReport> WriteCheckpoint(const std::string& work_directory,
                                                 const CheckpointIdentity& identity,
                                                 const TrainingState& state,
                                                 int64_t free_space_reserve_bytes = 0);

// Removes the checkpoint of `step`, if it exists, because its weights turned out to be useless.
// Returns the step of the newest remaining one; 0: none remains.
int64_t RemoveCheckpoint(const std::string& work_directory, int64_t step);

struct RestoredCheckpoint {
  int64_t step = 0;                  // 0: no checkpoint
  bool same_build = true;            // false: the continuation is exact only within a tolerance
  std::vector<std::string> skipped;  // one line for each newer checkpoint that could not be read
};

// state: of a run that has not begun: its model is loaded, its optimizer's state is zeros. Fills
// weights, optimizer, log and counters from the newest readable checkpoint; if there is none,
// `state` stays unchanged. Removes the files left by an interrupted write. Errors:
// kFailedPrecondition for a checkpoint of another job; kAborted if the disk fails between two reads
// of one checkpoint.
absl::StatusOr<RestoredCheckpoint> RestoreNewestCheckpoint(const std::string& work_directory,
                                                           const CheckpointIdentity& identity,
                                                           TrainingState& state);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_CHECKPOINT_H_
