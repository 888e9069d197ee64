// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/adamw.h"

#include <cmath>

namespace wattle::kernels {

AdamWScalars ScalarsOf(const AdamWStep& step) {
  const auto exponent = static_cast<double>(step.step);
  return {.beta1 = static_cast<float>(step.beta1),
          .rest1 = static_cast<float>(1.0 - step.beta1),
          .beta2 = static_cast<float>(step.beta2),
          .rest2 = static_cast<float>(1.0 - step.beta2),
          .keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay),
          .rate = static_cast<float>(step.learning_rate / (1.0 - std::pow(step.beta1, exponent))),
          .inverse_root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(step.beta2, exponent))),
          .epsilon = static_cast<float>(step.epsilon),
          .gradient_scale = static_cast<float>(step.gradient_scale)};
}

void AdamWUpdate(const AdamWStep& step, const AdamWState& state, const KernelTable& kernels) {
  kernels.adamw({.scalars = ScalarsOf(step),
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
