// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/adamw.h"

#include <cmath>

namespace wattle::kernels {

void AdamWUpdate(const AdamWStep& step, const AdamWState& state, const KernelTable& kernels) {
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
  kernels.adamw({.beta1 = beta1,
                 .rest1 = rest1,
                 .beta2 = beta2,
                 .rest2 = rest2,
                 .keep = keep,
                 .rate = rate,
                 .inverse_root = inverse_root,
                 .epsilon = epsilon,
                 .gradient_scale = scale,
                 .weights = state.weights,
                 .gradients = state.gradients,
                 .first_moments = state.first_moments,
                 .second_moments = state.second_moments,
                 .count = state.count});
}

double SumOfSquares(const float* values, int64_t count, const KernelTable& kernels) {
  return kernels.sum_of_squares(values, count);
}

}  // namespace wattle::kernels
