// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The Cholesky factor of a small symmetric positive definite matrix, and solutions by means of it.
// For a few hundred rows at most. Pure; thread-compatible.
#ifndef WATTLE_SCHEDULER_PREDICT_CHOLESKY_H_
#define WATTLE_SCHEDULER_PREDICT_CHOLESKY_H_

#include <cmath>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace wattle::scheduler {

class Cholesky {
 public:
  // matrix: `size` rows one behind the other, of which the lower triangle is read. nullopt if the
  // matrix is not positive definite.
  static std::optional<Cholesky> Of(std::vector<double> matrix, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      double* const row = &matrix[i * size];
      for (size_t j = 0; j <= i; ++j) {
        const double* const other = &matrix[j * size];
        // Row by row (Cholesky-Banachiewicz), in place: the factor replaces the lower triangle.
        double rest = row[j];
        for (size_t k = 0; k < j; ++k) {
          rest -= row[k] * other[k];
        }
        if (i != j) {
          row[j] = rest / other[j];
        } else if (rest > 0) {
          row[j] = std::sqrt(rest);
        } else {
          return std::nullopt;  // Also if the value is not a number.
        }
      }
    }
    return Cholesky(std::move(matrix), size);
  }

  // x of L x = b.
  [[nodiscard]] std::vector<double> HalfSolve(std::vector<double> b) const {
    for (size_t i = 0; i < size_; ++i) {
      for (size_t k = 0; k < i; ++k) {
        b[i] -= At(i, k) * b[k];
      }
      b[i] /= At(i, i);
    }
    return b;
  }

  // x of L L^T x = b.
  [[nodiscard]] std::vector<double> Solve(std::vector<double> b) const {
    // Forward substitution with L, then backward substitution with L^T, by rows of L.
    std::vector<double> x = HalfSolve(std::move(b));
    for (size_t i = size_; i-- > 0;) {
      x[i] /= At(i, i);
      for (size_t k = 0; k < i; ++k) {
        x[k] -= At(i, k) * x[i];
      }
    }
    return x;
  }

  [[nodiscard]] double LogDeterminant() const {
    double sum = 0;
    for (size_t i = 0; i < size_; ++i) {
      // ln |L L^T| as a sum of logarithms, because the product itself would over- or underflow.
      sum += 2 * std::log(At(i, i));
    }
    return sum;
  }

 private:
  Cholesky(std::vector<double> factor, size_t size) : factor_(std::move(factor)), size_(size) {}
  [[nodiscard]] double At(size_t row, size_t column) const { return factor_[row * size_ + column]; }

  std::vector<double> factor_;  // Lower triangle.
  size_t size_;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_CHOLESKY_H_
