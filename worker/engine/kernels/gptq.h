// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Error-compensating rounding (Frantar et al., "GPTQ", 2023). Columns of a weight matrix are
// rounded one after the other, and the error of each is compensated by changing the remaining
// columns, so that the product with the calibration inputs changes least. Columns with the largest
// inputs come first, so that all others can compensate for them; the groups' scales are chosen
// beforehand, from the original weights. The Hessian of the squared error, H = Σ x xᵀ over the
// calibration rows, describes the inputs.
//
// Plain C++ on arrays: works for every format that has a codec (weight_matrix.h). Memory: the
// Hessian twice (doubles), the weights once. Not thread-safe; different matrices may be processed
// by different threads.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_GPTQ_H_
#define WATTLE_WORKER_ENGINE_KERNELS_GPTQ_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {

// Σ x xᵀ over the inputs of a matrix, and their number.
class InputHessian {
 public:
  explicit InputHessian(int64_t columns);

  // Adds rows of inputs, [count, columns]: the plain form, in doubles.
  void Add(const float* inputs, int64_t count, ThreadPool& pool);
  // Adds Σ x xᵀ over `count` rows, computed by the caller. products: [columns, columns], symmetric.
  void AddProducts(const float* products, int64_t count);

  // Changes the sums as if column c of every input had been divided by factors[c] (EvenOutColumns).
  // factors: [columns], not zero.
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
  // Fraction of the mean of H's diagonal that is added to it: keeps the factorization stable if the
  // inputs span fewer directions than there are columns.
  double damping = 0.01;
  // Scales are tried down to this fraction of the one that covers a group's largest weight; the one
  // with the least squared error, weighted by H's diagonal, is taken. 1: no search.
  double least_scale = 0.8;
};

// Rounds `weights` ([rows, columns], finite) for the format of `shape`.
// codes: [rows, columns]; scales: [rows, groups of a row]; both in the form that
// FormatOperations::pack takes. Errors: kInvalidArgument if the Hessian has another size or no
// inputs (remedy: more calibration text), kFailedPrecondition if it cannot be factored at this
// damping.
absl::Status RoundWithCompensation(const WeightMatrix& shape, const float* weights,
                                   const InputHessian& hessian, const GptqSettings& settings,
                                   ThreadPool& pool, absl::Span<int8_t> codes,
                                   absl::Span<GroupScale> scales);

// Σ over rows of (w - ŵ)ᵀ H (w - ŵ): the squared change of the product on the calibration inputs.
// rounded: [rows, columns].
[[nodiscard]] double ProductError(const float* weights, const float* rounded, int64_t rows,
                                  const InputHessian& hessian);

// Factors that even out a matrix's columns with the inputs that feed it (Xiao et al.,
// "SmoothQuant", 2023): column c of the weights is multiplied by factors[c], and the producer of
// input c (a norm's gain and bias) is divided by it, which changes no product. factors[c] =
// max|x_c|^½ / max|w_c|^½, scaled to a geometric mean of 1; 1 if either is zero. This removes
// outlier channels, whose large inputs meet small weights for which few codes are left.
// input_peaks: [columns], the largest magnitude of each input on the calibration rows;
// weight_peaks: [columns], the largest magnitude of each column over all matrices that read these
// inputs.
void EvenOutColumns(absl::Span<const float> input_peaks, absl::Span<const float> weight_peaks,
                    absl::Span<float> factors);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_GPTQ_H_
