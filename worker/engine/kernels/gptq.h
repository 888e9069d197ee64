// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Error-compensating rounding (Frantar et al., "GPTQ", 2023). Columns of a weight matrix are
// rounded one after the other, and the error of each is made up for by changing the columns that
// are still to come, so that the product with the calibration inputs changes least. Columns with
// the largest inputs come first, so that all others can make up for them; the groups' scales are
// chosen before, from the weights as they are. What the inputs are like stands in the Hessian of
// the squared error, H = Σ x xᵀ over the calibration rows.
//
// Plain C++ on arrays: works for every format that has a codec (weight_matrix.h). Memory: the
// Hessian twice (doubles), the weights once. Not thread-safe; different matrices may be done by
// different threads.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_GPTQ_H_
#define WATTLE_WORKER_ENGINE_KERNELS_GPTQ_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {

// Σ x xᵀ of the inputs that a matrix has seen, and how many they were.
class InputHessian {
 public:
  explicit InputHessian(int64_t columns);

  // Adds rows of inputs, [count, columns]: the plain form, in doubles.
  void Add(const float* inputs, int64_t count, ThreadPool& pool);
  // Adds Σ x xᵀ of `count` rows that somebody else has multiplied. products: [columns, columns],
  // symmetric.
  void AddProducts(const float* products, int64_t count);

  // As if column c of every input had been divided by factors[c] (EvenOutColumns). factors:
  // [columns], not zero.
  void DivideColumns(absl::Span<const float> factors);

  [[nodiscard]] int64_t columns() const { return columns_; }
  [[nodiscard]] int64_t rows_seen() const { return rows_seen_; }
  [[nodiscard]] double at(int64_t row, int64_t column) const {
    return sums_[static_cast<size_t>(row > column ? row * columns_ + column
                                                  : column * columns_ + row)];
  }

 private:
  int64_t columns_;
  int64_t rows_seen_ = 0;
  std::vector<double> sums_;  // [columns, columns], the lower triangle
};

struct GptqSettings {
  // Share of the mean of H's diagonal that is added to it: what holds the factorization where the
  // inputs span fewer directions than there are columns.
  double damping = 0.01;
  // Scales are tried down to this share of the one that covers a group's largest weight, and the
  // one with the least squared error, weighted by H's diagonal, is taken. 1: no trial.
  double least_scale = 0.8;
};

// Rounds `weights` ([rows, columns], finite) for the format of `shape`.
// codes: [rows, columns]; scales: [rows, groups of a row]; both as FormatOperations::pack wants
// them. Errors: kInvalidArgument where the Hessian has another size or has seen no inputs (what to
// do: more calibration text), kFailedPrecondition where it cannot be factored at this damping.
absl::Status RoundWithCompensation(const WeightMatrix& shape, const float* weights,
                                   const InputHessian& hessian, const GptqSettings& settings,
                                   ThreadPool& pool, absl::Span<int8_t> codes,
                                   absl::Span<GroupScale> scales);

// Σ over rows of (w - ŵ)ᵀ H (w - ŵ): the squared change of the product on the calibration inputs.
// rounded: [rows, columns].
[[nodiscard]] double ProductError(const float* weights, const float* rounded, int64_t rows,
                                  const InputHessian& hessian);

// Factors that even out a matrix's columns with the inputs that feed it (Xiao et al.,
// "SmoothQuant", 2023): column c of the weights is multiplied by factors[c] and whatever makes
// input c (a norm's gain and bias) is divided by it, which changes no product.
// factors[c] = max|x_c|^½ / max|w_c|^½, with their geometric mean scaled to 1; 1 where either is
// zero. It undoes outlier channels, whose large inputs meet small weights that few codes are left
// for.
// input_peaks: [columns], the largest magnitude of each input on the calibration rows;
// weight_peaks: [columns], that of each column of all matrices that read these inputs.
void EvenOutColumns(absl::Span<const float> input_peaks, absl::Span<const float> weight_peaks,
                    absl::Span<float> factors);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_GPTQ_H_
