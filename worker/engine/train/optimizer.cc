// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace wattle::engine {
namespace {

// Elements that one thread updates at a time. The update is elementwise, so the split changes no
// bit.
constexpr int64_t kUpdateGrain = 1 << 16;

// One parameter with what belongs to it, as flat tensors.
struct UpdatedParameter {
  at::Tensor weights;
  at::Tensor gradients;
  OptimizerMoments moments;
};

void Update(const kernels::AdamWStep& step, const UpdatedParameter& parameter) {
  if (!parameter.weights.device().is_cpu()) {
    AdamWPlain(step, parameter.weights, parameter.gradients, parameter.moments);
    return;
  }
  auto* w = parameter.weights.data_ptr<float>();
  const auto* g = parameter.gradients.data_ptr<float>();
  auto* m = parameter.moments.first.data_ptr<float>();
  auto* v = parameter.moments.second.data_ptr<float>();
  at::parallel_for(0, parameter.weights.numel(), kUpdateGrain, [&](int64_t begin, int64_t end) {
    kernels::AdamWUpdate(step, {w + begin, g + begin, m + begin, v + begin, end - begin});
  });
}

}  // namespace

OptimizerMoments ZeroMoments(const ArenaLayout& layout, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(at::kFloat).device(device);
  return {at::zeros({layout.elements}, options), at::zeros({layout.elements}, options)};
}

double GradientNorm(const at::Tensor& gradients) {
  if (!gradients.device().is_cpu()) {
    return gradients.norm().item<double>();
  }
  const int64_t pieces = (gradients.numel() + kUpdateGrain - 1) / kUpdateGrain;
  std::vector<double> sums(static_cast<size_t>(pieces));
  const float* values = gradients.data_ptr<float>();
  at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t start = piece * kUpdateGrain;
      sums[static_cast<size_t>(piece)] =
          kernels::SumOfSquares(values + start, std::min(kUpdateGrain, gradients.numel() - start));
    }
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

double ClipScale(const AdamWSettings& settings, double gradient_norm) {
  if (settings.clip_norm <= 0.0 || gradient_norm <= settings.clip_norm) {
    return 1.0;
  }
  return settings.clip_norm / gradient_norm;
}

void AdamWStep(const kernels::AdamWStep& step, const UpdatedValues& values,
               const ArenaLayout& layout, const at::Tensor& gradients,
               const OptimizerMoments& moments) {
  const std::vector<Parameter>& parameters = values.parameters;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!layout.holds(i)) {
      continue;
    }
    const int64_t offset = layout.offsets[i];
    const int64_t count = parameters[i].tensor.element_count();
    kernels::AdamWStep own = step;
    own.weight_decay = parameters[i].decays() ? step.weight_decay : 0.0;
    Update(own, {.weights = values.arena.narrow(0, values.layout.offsets[i], count),
                 .gradients = gradients.narrow(0, offset, count),
                 .moments = {moments.first.narrow(0, offset, count),
                             moments.second.narrow(0, offset, count)}});
  }
}

void AdamWPlain(const kernels::AdamWStep& step, const at::Tensor& weights,
                const at::Tensor& gradients, const OptimizerMoments& moments) {
  const auto& [first, second] = moments;
  const auto exponent = static_cast<double>(step.step);
  const at::Tensor gradient = gradients * step.gradient_scale;
  first.mul_(step.beta1).add_(gradient, 1.0 - step.beta1);
  second.mul_(step.beta2).addcmul_(gradient, gradient, 1.0 - step.beta2);
  const at::Tensor denominator =
      second.sqrt().mul_(1.0 / std::sqrt(1.0 - std::pow(step.beta2, exponent))).add_(step.epsilon);
  weights.mul_(1.0 - step.learning_rate * step.weight_decay)
      .addcdiv_(first, denominator, -step.learning_rate / (1.0 - std::pow(step.beta1, exponent)));
}

}  // namespace wattle::engine
