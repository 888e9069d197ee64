// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checkpoints of a training run. One is a directory "checkpoint-<step>" with model.safetensors
// (the trained weights; adapter_model.safetensors where adapters alone are trained) and
// optimizer.safetensors (the optimizer's state, or the log of training by forward passes; the
// counters stand in its metadata), and of a run that stops early the best weights so far
// (best_weights.h). It is written as "checkpoint-<step>.partial", each file synced, then renamed
// and the directory synced: it is there whole or not at all. Its files have checksums, and a run is
// restored from all of a checkpoint or from none of it. The newest two are kept. One process at a
// time uses a work directory. May throw libtorch's exceptions.
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

// What a checkpoint is of. A resume needs the same job; another build, library, instruction set,
// device or number of threads goes on "numerically".
struct CheckpointIdentity {
  std::string job;    // settings and data as one line
  std::string build;  // all that decides in which order numbers are added
};

// free_space_reserve_bytes: of the disk, left free. Errors: kResourceExhausted where the checkpoint
// does not fit; the newest one that was there before stays, and the run can go on without this one.
absl::StatusOr<CheckpointReport> WriteCheckpoint(const std::string& work_directory,
                                                 const CheckpointIdentity& identity,
                                                 const TrainingState& state,
                                                 int64_t free_space_reserve_bytes = 0);

// Removes the checkpoint of `step`, if there is one, because its weights turned out to be of no
// use. Returns the step of the newest that is left; 0: none is.
int64_t RemoveCheckpoint(const std::string& work_directory, int64_t step);

struct RestoredCheckpoint {
  int64_t step = 0;                  // 0: there was none
  bool same_build = true;            // false: going on is exact only within a tolerance
  std::vector<std::string> skipped;  // one line for each newer one that could not be read
};

// state: of a run that has not begun: its model is loaded, its optimizer's state is zeros. Fills
// weights, optimizer, log and counters from the newest checkpoint that can be read; if there is
// none, `state` stays as it is. Removes the files that an interrupted write left. Errors:
// kFailedPrecondition for a checkpoint of another job; kAborted where the disk fails between two
// reads of one checkpoint.
absl::StatusOr<RestoredCheckpoint> RestoreNewestCheckpoint(const std::string& work_directory,
                                                           const CheckpointIdentity& identity,
                                                           TrainingState& state);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_CHECKPOINT_H_
