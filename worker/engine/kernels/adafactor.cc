// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/adafactor.h"

#include <algorithm>
#include <cmath>

namespace wattle::kernels {
namespace {

constexpr double kDecayExponent = -0.8;
constexpr double kLargestUpdateRms = 1.0;
constexpr int64_t kPartialSums = 8;  // independent sums, so that the compiler can vectorize

}  // namespace

double AdafactorStep::rest2() const {
  return std::pow(static_cast<double>(step), kDecayExponent);
}

void AdafactorSquares(const AdafactorStep& step, const AdafactorRows& piece, double* row_sums,
                      double* column_sums) {
  const auto scale = static_cast<float>(step.gradient_scale);
  for (int64_t row = 0; row < piece.rows; ++row) {
    const float* gradients = piece.gradients + row * piece.columns;
    double sums[kPartialSums] = {};
    int64_t i = 0;
    for (; i + kPartialSums <= piece.columns; i += kPartialSums) {
      for (int64_t lane = 0; lane < kPartialSums; ++lane) {
        const auto gradient = static_cast<double>(gradients[i + lane] * scale);
        sums[lane] += gradient * gradient;
        column_sums[i + lane] += gradient * gradient;
      }
    }
    for (; i < piece.columns; ++i) {
      const auto gradient = static_cast<double>(gradients[i] * scale);
      sums[0] += gradient * gradient;
      column_sums[i] += gradient * gradient;
    }
    double total = 0.0;
    for (const double sum : sums) {
      total += sum;
    }
    row_sums[row] = total;
  }
}

double AdafactorUpdateSquares(const AdafactorStep& step, const AdafactorRows& piece) {
  const auto scale = static_cast<float>(step.gradient_scale);
  double total = 0.0;
  for (int64_t row = 0; row < piece.rows; ++row) {
    const float* gradients = piece.gradients + row * piece.columns;
    const float factor = piece.row_factors[row] * scale;
    double sums[kPartialSums] = {};
    int64_t i = 0;
    for (; i + kPartialSums <= piece.columns; i += kPartialSums) {
      for (int64_t lane = 0; lane < kPartialSums; ++lane) {
        const auto update =
            static_cast<double>(gradients[i + lane] * factor * piece.column_factors[i + lane]);
        sums[lane] += update * update;
      }
    }
    for (; i < piece.columns; ++i) {
      const auto update = static_cast<double>(gradients[i] * factor * piece.column_factors[i]);
      sums[0] += update * update;
    }
    for (const double sum : sums) {
      total += sum;
    }
  }
  return total;
}

void AdafactorApply(const AdafactorStep& step, double update_rms, const AdafactorRows& piece) {
  const auto scale = static_cast<float>(step.gradient_scale);
  const auto keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  const auto rate =
      static_cast<float>(step.learning_rate / std::max(1.0, update_rms / kLargestUpdateRms));
  for (int64_t row = 0; row < piece.rows; ++row) {
    float* weights = piece.weights + row * piece.columns;
    const float* gradients = piece.gradients + row * piece.columns;
    const float factor = piece.row_factors[row] * scale;
    for (int64_t i = 0; i < piece.columns; ++i) {
      weights[i] = weights[i] * keep - rate * (gradients[i] * factor * piece.column_factors[i]);
    }
  }
}

}  // namespace wattle::kernels
