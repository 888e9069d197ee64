// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/adamw.h"

#include <cmath>

namespace wattle::kernels {

void AdamWUpdate(const AdamWStep& step, const AdamWState& state) {
  const auto exponent = static_cast<double>(step.step);
  const double correction1 = 1.0 - std::pow(step.beta1, exponent);
  const double correction2 = 1.0 - std::pow(step.beta2, exponent);
  const auto keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  const auto rate = static_cast<float>(step.learning_rate / correction1);
  const auto inverse_root = static_cast<float>(1.0 / std::sqrt(correction2));
  const auto beta1 = static_cast<float>(step.beta1);
  const auto beta2 = static_cast<float>(step.beta2);
  const auto rest1 = static_cast<float>(1.0 - step.beta1);
  const auto rest2 = static_cast<float>(1.0 - step.beta2);
  const auto epsilon = static_cast<float>(step.epsilon);
  const auto scale = static_cast<float>(step.gradient_scale);
  float* __restrict weights = state.weights;
  const float* __restrict gradients = state.gradients;
  float* __restrict first = state.first_moments;
  float* __restrict second = state.second_moments;
  for (int64_t i = 0; i < state.count; ++i) {
    const float gradient = gradients[i] * scale;
    const float m = beta1 * first[i] + rest1 * gradient;
    const float v = beta2 * second[i] + rest2 * gradient * gradient;
    first[i] = m;
    second[i] = v;
    weights[i] = weights[i] * keep - rate * m / (std::sqrt(v) * inverse_root + epsilon);
  }
}

double SumOfSquares(const float* values, int64_t count) {
  constexpr int64_t kPartialSums = 8;  // independent, so that the compiler may use vectors
  double sums[kPartialSums] = {};
  int64_t i = 0;
  for (; i + kPartialSums <= count; i += kPartialSums) {
    for (int64_t lane = 0; lane < kPartialSums; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      sums[lane] += value * value;
    }
  }
  for (; i < count; ++i) {
    sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  double total = 0.0;
  for (const double sum : sums) {
    total += sum;
  }
  return total;
}

}  // namespace wattle::kernels
