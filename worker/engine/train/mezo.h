// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Training by forward passes only (MeZO: Malladi et al., "Fine-tuning language models with just
// forward passes", NeurIPS 2023; SPSA: Spall 1992). For each of n directions z the loss is computed
// at w + εz and w - εz; their slope s = (L₊ - L₋) / 2ε is the gradient along z, and w ← w - lr/n Σ
// s z. Gradients, moments and activations are not kept: a step takes the memory of a loss. The mean
// cosine of Σ s z with the gradient is that of n random directions of all d weights, about √(n/d).
// Not thread-safe. docs/adr/0029.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_MEZO_H_
#define WATTLE_WORKER_ENGINE_TRAIN_MEZO_H_

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/device/device_number.h"
#include "worker/engine/models/perturbed_weights.h"
#include "worker/engine/models/token_batch.h"
#include "worker/engine/train/method_settings.h"
#include "worker/engine/train/mezo_log.h"
#include "worker/engine/train/training_state.h"

namespace wattle::engine {

// Results of a step.
struct MezoSlopes {
  std::vector<double> slopes;  // one per direction
  double loss_sum = 0.0;       // mean of the loss sums over both ends of all directions
};

class Mezo {
 public:
  // state must outlive this object. seed: for the directions.
  Mezo(const MezoSettings& settings, uint64_t seed, TrainingState& state);
  Mezo(const Mezo&) = delete;  // not copyable: members refer to each other
  Mezo& operator=(const Mezo&) = delete;

  // Begins step 1, 2, …
  void BeginStep(int64_t step);
  // Adds a micro-batch to the step.
  void AddBatch(const TokenBatch& batch);
  // Waits for the device, once per step. loss_scale: 1 / predictions of the step.
  [[nodiscard]] MezoSlopes Slopes(double loss_scale) const;
  // Moves the weights by `slopes`, and records the moves in the state's log. weight_decay:
  // decoupled, for matrices and tables.
  void Update(const std::vector<double>& slopes, double learning_rate, double weight_decay);

 private:
  [[nodiscard]] Direction DirectionOf(int64_t sample) const;
  DeviceNumber LossAt(const Direction& direction, float magnitude, const TokenBatch& batch);

  MezoSettings settings_;
  uint64_t seed_;
  TrainingState& state_;
  TrainedValues values_;
  float perturbation_;
  int64_t step_ = 0;
  // For each direction of the step: Σ losses at w + εz and at w - εz.
  std::vector<DeviceNumber> ends_;
  // For adapters: all moved adapters, beside the model's own weights; otherwise the model's parts
  // are moved one at a time.
  at::Tensor moved_adapters_;
  std::optional<Decoder> beside_;
  std::optional<PerturbedWeights> moved_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_MEZO_H_
