// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The whole state of a training run at a step boundary. A run that continues from a restored state
// computes the same bits as an uninterrupted one, on the same build, device and number of threads.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_TRAINING_STATE_H_
#define WATTLE_WORKER_ENGINE_TRAIN_TRAINING_STATE_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "worker/engine/models/model_files.h"
#include "worker/engine/progress.h"
#include "worker/engine/train/adapters.h"
#include "worker/engine/train/loss_scale.h"
#include "worker/engine/train/mezo_log.h"
#include "worker/engine/train/optimizer.h"
#include "worker/engine/train/rounded_weights.h"

namespace wattle::engine {

// The counters; small, and part of every checkpoint.
struct TrainingCounters {
  int64_t position = 0;         // examples drawn from the data order
  uint64_t random_counter = 0;  // micro-batches that drew dropout masks
  WorkTotals work;              // work.steps: optimizer steps done, skipped ones included
  std::vector<double> losses;   // of every step so far
  std::optional<double> heldout_before;
  std::optional<double> heldout_last;  // measured after step heldout_last_step
  int64_t heldout_last_step = -1;
  // For a run that stops early: the lowest loss of an evaluation after step 0 (best_weights.h).
  std::optional<double> heldout_best;
  int64_t heldout_best_step = 0;
  int64_t evaluations_without_gain = 0;  // evaluations since then
  std::optional<LossScale> loss_scale;   // for gradients of FP16 factors
  bool numerically_continued = false;    // see FinetuneResult

  // The number of the update, from 1, that step `step` makes if it is not skipped.
  [[nodiscard]] int64_t UpdateNumber(int64_t step) const {
    return loss_scale.has_value() ? step - loss_scale->skipped_steps : step;
  }
};

// The values that training changes and a checkpoint contains: the model's weights, those of its
// last layers, or the adapters.
struct TrainedValues {
  const models::ModelDirectory& files;  // defines the names in a file
  const std::vector<Parameter>& parameters;
  ArenaLayout layout;  // of the FP32 values in `arena`
  at::Tensor arena;
  std::vector<at::Tensor> values;  // one per parameter, in its shape; undefined: not trained
};

struct TrainingState {
  LoadedModel model;                      // FP32, with BF16 matrices, or in any form with adapters
  std::optional<Adapters> adapters;       // attached to the model, whose own weights stay unchanged
  std::optional<RoundedWeights> rounded;  // for quantization-aware training
  ArenaLayout layout;                     // only for the trainable parameters
  OptimizerState optimizer;
  std::vector<MezoMove> mezo_log;  // for training by forward passes: every move so far
  TrainingCounters counters;

  // The decoder for a pass with the current weights.
  const Decoder& ForPasses() {
    if (!rounded.has_value()) {
      return model.decoder;
    }
    rounded->Refresh(model);
    return rounded->decoder();
  }

  [[nodiscard]] TrainedValues trained() const {
    if (adapters.has_value()) {
      return {adapters->files, adapters->parameters, adapters->layout, adapters->arena,
              ArenaViews(adapters->arena, adapters->layout, adapters->parameters)};
    }
    std::vector<at::Tensor> values = model.Values();
    for (size_t i = 0; i < values.size(); ++i) {
      if (!layout.holds(i)) {
        values[i].reset();
      }
    }
    return {model.files, model.parameters, OnlyThose(model.layout, layout), model.arena,
            std::move(values)};
  }
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_TRAINING_STATE_H_
