// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The trained weights with the lowest held-out loss of a run that stops early: one file in the work
// directory, and beside each checkpoint the best file at that time, so that a run resumed from any
// checkpoint has its best weights. The file beside a checkpoint is a hard link if the disk supports
// it, else a copy. Only one process at a time may use a work directory.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_BEST_WEIGHTS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_BEST_WEIGHTS_H_

#include <string>

#include "absl/status/status.h"

#include "worker/engine/train/training_state.h"

namespace wattle::engine {

inline constexpr char kBestWeightsFile[] = "best.safetensors";

// Records a held-out loss. If it is lower than all before, the weights become the best ones,
// written durably and atomically. Errors: those of the disk.
absl::Status NoteHeldoutLoss(const std::string& work_directory, double loss, TrainingState& state);

// Replaces the best weights of one directory by those of another.
absl::Status PassBestWeightsOn(const std::string& from_directory, const std::string& to_directory);

// Reads the best weights into the state. Errors: kDataLoss for a file that is missing or damaged.
absl::Status TakeBestWeights(const std::string& work_directory, const TrainingState& state);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_BEST_WEIGHTS_H_
