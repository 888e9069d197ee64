// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/mezo.h"

#include "worker/engine/models/decoder.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

Mezo::Mezo(const MezoSettings& settings, uint64_t seed, TrainingState& state)
    : settings_(settings),
      seed_(seed),
      state_(state),
      values_(state.trained()),
      perturbation_(static_cast<float>(settings.perturbation)) {
  if (!state.adapters.has_value()) {
    moved_.emplace(state.model.decoder, values_.parameters, values_.layout, values_.arena);
    return;
  }
  // Adapters are small, so a moved copy of all is cheaper than moving layer by layer.
  moved_adapters_ = at::zeros_like(values_.arena);
  beside_ = state.model.decoder;
  for (BlockWeights& block : beside_->weights.blocks) {
    for (LinearWeights* linear : {&block.qkv, &block.attention_output, &block.up, &block.down}) {
      linear->adapters.clear();
    }
  }
  AttachAdapters(*state.adapters, moved_adapters_, beside_->weights);
}

Direction Mezo::DirectionOf(int64_t sample) const {
  // Numbered through the run: a direction is regenerated from two numbers and never stored, which
  // is MeZO's idea.
  return {.seed = seed_, .number = static_cast<uint64_t>((step_ - 1) * settings_.samples + sample)};
}

void Mezo::BeginStep(int64_t step) {
  step_ = step;
  ends_.assign(static_cast<size_t>(2 * settings_.samples), {});
}

DeviceNumber Mezo::LossAt(const Direction& direction, float magnitude, const TokenBatch& batch) {
  if (moved_.has_value()) {
    moved_->Set(direction, magnitude);
    return PendingLossSum(state_.model.decoder, batch, *moved_);
  }
  for (size_t i = 0; i < values_.parameters.size(); ++i) {
    CopyMovedAlong(direction, i, 0, magnitude,
                   ArenaView(values_.arena, values_.layout, values_.parameters, i),
                   ArenaView(moved_adapters_, values_.layout, values_.parameters, i));
  }
  return PendingLossSum(*beside_, batch);
}

void Mezo::AddBatch(const TokenBatch& batch) {
  for (int64_t sample = 0; sample < settings_.samples; ++sample) {
    // Both ends use the same batch, so that the choice of data does not affect their difference.
    const auto at = static_cast<size_t>(2 * sample);
    ends_[at] += LossAt(DirectionOf(sample), perturbation_, batch);
    ends_[at + 1] += LossAt(DirectionOf(sample), -perturbation_, batch);
  }
}

MezoSlopes Mezo::Slopes(double loss_scale) const {
  const std::vector<double> losses = DeviceNumber::ReadAll(ends_);
  MezoSlopes read;
  double sum = 0.0;
  for (size_t at = 0; at < losses.size(); at += 2) {
    const double up = losses[at];
    const double down = losses[at + 1];
    sum += up + down;
    // Central difference: its error is of second order in ε.
    read.slopes.push_back((up - down) * loss_scale / (2.0 * static_cast<double>(perturbation_)));
  }
  read.loss_sum = sum / static_cast<double>(losses.size());
  return read;
}

void Mezo::Update(const std::vector<double>& slopes, double learning_rate, double weight_decay) {
  const auto samples = static_cast<double>(settings_.samples);
  for (int64_t sample = 0; sample < settings_.samples; ++sample) {
    const double slope = slopes[static_cast<size_t>(sample)];
    const MezoMove move = {
        .direction = DirectionOf(sample),
        .scalar = static_cast<float>(-learning_rate * slope / samples),
        // Decay once per step, with the first of its moves.
        .keep = sample == 0 ? static_cast<float>(1.0 - learning_rate * weight_decay) : 1.0F};
    Apply(move, {values_.parameters, values_.layout, values_.arena});
    // With the initial weights the log reproduces the current ones (mezo_log.h).
    state_.mezo_log.push_back(move);
  }
}

}  // namespace wattle::engine
