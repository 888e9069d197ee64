// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The trained weights with the lowest held-out loss of a run that stops early: one file in the work
// directory, and beside each checkpoint the file that was the best then, so that a run which goes
// on from any checkpoint goes on with its best. The file beside a checkpoint is a hard link where
// the disk has such, else a copy. One process at a time uses a work directory.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_BEST_WEIGHTS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_BEST_WEIGHTS_H_

#include <string>

#include "absl/status/status.h"

#include "worker/engine/train/training_state.h"

namespace wattle::engine {

inline constexpr char kBestWeightsFile[] = "best.safetensors";

// Notes a held-out loss. Where it is lower than every one before, the weights become the best ones:
// durable, and there whole or not at all. Errors: those of the disk.
absl::Status NoteHeldoutLoss(const std::string& work_directory, double loss, TrainingState& state);

// Puts the best weights of one directory into another, in place of those there.
absl::Status PassBestWeightsOn(const std::string& from_directory, const std::string& to_directory);

// Reads the best weights into the state. Errors: kDataLoss for a file that is missing or damaged.
absl::Status TakeBestWeights(const std::string& work_directory, const TrainingState& state);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_BEST_WEIGHTS_H_
