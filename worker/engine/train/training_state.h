// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Everything that a training run is at a step boundary. Going on from a restored state gives the
// same bits as going on without the interruption, on the same build, device and number of threads.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_TRAINING_STATE_H_
#define WATTLE_WORKER_ENGINE_TRAIN_TRAINING_STATE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "worker/engine/models/model_files.h"
#include "worker/engine/progress.h"
#include "worker/engine/train/optimizer.h"

namespace wattle::engine {

// The counters; small, and all of them are in every checkpoint.
struct TrainingCounters {
  int64_t position = 0;         // examples drawn from the data order
  uint64_t random_counter = 0;  // micro-batches that drew dropout masks
  WorkTotals work;              // work.steps: optimizer steps done
  std::vector<double> losses;   // of every step so far
  std::optional<double> heldout_before;
  std::optional<double> heldout_last;  // measured after step heldout_last_step
  int64_t heldout_last_step = -1;
};

struct TrainingState {
  LoadedModel model;  // FP32
  OptimizerMoments moments;
  TrainingCounters counters;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_TRAINING_STATE_H_
