// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Adafactor (Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost",
// 2018), in the variant of transformers' Adafactor with scale_parameter and relative_step off: no
// first moment, β₂ = 1 - step^-0.8, updates clipped to a root mean square of 1, decoupled weight
// decay. The second moment of a matrix is the product of its means along rows and columns. This
// file has the loops over the gradients; engine/train/optimizer.cc combines them. The bits do not
// depend on the number of threads, only on the pieces. Thread-safe on disjoint pieces.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ADAFACTOR_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ADAFACTOR_H_

#include <cstdint>

namespace wattle::kernels {

// Added to each squared gradient, so that no mean is zero.
inline constexpr double kAdafactorEpsilon = 1e-30;

struct AdafactorStep {
  int64_t step = 1;  // from 1
  double learning_rate = 0.0;
  double weight_decay = 0.0;
  double gradient_scale = 1.0;  // below 1 if the norm is clipped

  // The weight of this step's squares in the second moment.
  [[nodiscard]] double rest2() const;
};

// Rows of a matrix. A vector is one row.
struct AdafactorRows {
  float* weights = nullptr;
  const float* gradients = nullptr;
  // The update is gradient * row_factors[row] * column_factors[column], for each row of this piece
  // and each column.
  const float* row_factors = nullptr;
  const float* column_factors = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
};

// Writes the sums of the squared gradients of each row to row_sums [rows], and adds those of each
// column to column_sums [columns].
void AdafactorSquares(const AdafactorStep& step, const AdafactorRows& piece, double* row_sums,
                      double* column_sums);

// Σ update².
double AdafactorUpdateSquares(const AdafactorStep& step, const AdafactorRows& piece);

// w ← w (1 - lr decay) - lr update / max(1, update_rms). update_rms: over the whole tensor.
void AdafactorApply(const AdafactorStep& step, double update_rms, const AdafactorRows& piece);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ADAFACTOR_H_
