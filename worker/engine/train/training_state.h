// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The whole state of a training run at a step boundary. A run that goes on from a restored state
// computes the same bits as one that was not interrupted, on the same build, device and number of
// threads.
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

// The counters; small, and all of them are in every checkpoint.
struct TrainingCounters {
  int64_t position = 0;         // examples drawn from the data order
  uint64_t random_counter = 0;  // micro-batches that drew dropout masks
  WorkTotals work;              // work.steps: optimizer steps done, skipped ones included
  std::vector<double> losses;   // of every step so far
  std::optional<double> heldout_before;
  std::optional<double> heldout_last;  // measured after step heldout_last_step
  int64_t heldout_last_step = -1;
  // Of a run that stops early: the lowest loss of an evaluation after step 0 (best_weights.h).
  std::optional<double> heldout_best;
  int64_t heldout_best_step = 0;
  int64_t evaluations_without_gain = 0;  // since then
  std::optional<LossScale> loss_scale;   // of gradients of FP16 factors
  bool numerically_continued = false;    // as in FinetuneResult

  // Step `step` updates the weights for the how-manyth time, from 1, if it is not skipped.
  [[nodiscard]] int64_t UpdateNumber(int64_t step) const {
    return loss_scale.has_value() ? step - loss_scale->skipped_steps : step;
  }
};

// What training changes and a checkpoint holds: the model's weights, those of its last layers, or
// the adapters beside it.
struct TrainedValues {
  const models::ModelDirectory& files;  // says how a file names them
  const std::vector<Parameter>& parameters;
  ArenaLayout layout;  // of those in FP32 in `arena`
  at::Tensor arena;
  std::vector<at::Tensor> values;  // of each parameter, in its shape; undefined: it is not trained
};

struct TrainingState {
  LoadedModel model;                 // FP32, with BF16 matrices, or beside adapters in any form
  std::optional<Adapters> adapters;  // attached to the model; the model's own weights stay
  std::optional<RoundedWeights> rounded;  // of quantization-aware training
  ArenaLayout layout;                     // of the trainable parameters, without the others
  OptimizerState optimizer;
  std::vector<MezoMove> mezo_log;  // of training by forward passes alone: every move so far
  TrainingCounters counters;

  // What a pass of the model computes with, as the weights are now.
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
