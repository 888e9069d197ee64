// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/gptq.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kRowsTogether = 32;  // rows of weights processed per read of the factor
constexpr int kScaleTrials = 12;

// Σ a[i] b[i] in independent partial sums, so that the compiler can vectorize.
double Dot(const double* a, const double* b, int64_t count) {
  constexpr int64_t kPartialSums = 8;
  double sums[kPartialSums] = {};
  int64_t i = 0;
  for (; i + kPartialSums <= count; i += kPartialSums) {
    for (int64_t lane = 0; lane < kPartialSums; ++lane) {
      sums[lane] += a[i + lane] * b[i + lane];
    }
  }
  for (; i < count; ++i) {
    sums[0] += a[i] * b[i];
  }
  return std::accumulate(std::begin(sums), std::end(sums), 0.0);
}

// A square matrix, row-major.
class Square {
 public:
  explicit Square(int64_t size) : size_(size), values_(static_cast<size_t>(size * size)) {}
  double* row(int64_t i) { return values_.data() + i * size_; }
  [[nodiscard]] int64_t size() const { return size_; }

 private:
  int64_t size_;
  std::vector<double> values_;
};

// The Hessian with damping, its columns in the given order.
Square DampedHessian(const InputHessian& hessian, double damping,
                     const std::vector<int64_t>& order) {
  const int64_t size = hessian.columns();
  double diagonal = 0.0;
  for (int64_t i = 0; i < size; ++i) {
    diagonal += hessian.at(i, i);
  }
  Square out(size);
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < size; ++j) {
      out.row(i)[j] = hessian.at(order[static_cast<size_t>(i)], order[static_cast<size_t>(j)]);
    }
    // GPTQ's dampening: a share of the mean diagonal keeps the factorization stable.
    out.row(i)[i] += damping * diagonal / static_cast<double>(size);
  }
  return out;
}

// h = R Rᵀ with R upper triangular, in place (elements below the diagonal stay unchanged). Returns
// false if h is not positive definite.
bool FactorInPlace(Square& h, ThreadPool& pool) {
  const int64_t size = h.size();
  // From the last column to the first, because R is upper triangular: R⁻¹ is then the upper
  // Cholesky factor of H⁻¹ that GPTQ needs, without computing H⁻¹ itself.
  for (int64_t j = size - 1; j >= 0; --j) {
    double* row_j = h.row(j);
    const int64_t behind = size - j - 1;
    const double square = row_j[j] - Dot(row_j + j + 1, row_j + j + 1, behind);
    // Negated, so that NaN fails, too.
    if (!(square > 0.0)) {
      return false;
    }
    row_j[j] = std::sqrt(square);
    // Short columns take less time than waking the threads.
    const int64_t chunks = j < 64 ? 1 : pool.threads();
    pool.ParallelFor(chunks, [&](int64_t chunk, int /*thread*/) {
      for (int64_t i = j * chunk / chunks; i < j * (chunk + 1) / chunks; ++i) {
        double* row_i = h.row(i);
        row_i[j] = (row_i[j] - Dot(row_i + j + 1, row_j + j + 1, behind)) / row_j[j];
      }
    });
  }
  return true;
}

// R⁻¹ of an upper triangular R, as floats, row-major; zeros below the diagonal.
std::vector<float> InverseOf(Square& r, ThreadPool& pool) {
  const int64_t size = r.size();
  Square inverse(size);
  const int64_t chunks = std::min<int64_t>(size, 4 * pool.threads());
  // Row i is (eᵢ - Σ_{k>i} R[i,k] row k) / R[i,i]; each chunk computes its own columns.
  pool.ParallelFor(chunks, [&](int64_t chunk, int /*thread*/) {
    const int64_t first = size * chunk / chunks;
    const int64_t end = size * (chunk + 1) / chunks;
    for (int64_t i = end - 1; i >= 0; --i) {
      double* __restrict row = inverse.row(i);
      for (int64_t k = i + 1; k < end; ++k) {
        const double factor = r.row(i)[k];
        const double* __restrict other = inverse.row(k);
        for (int64_t c = std::max(first, k); c < end; ++c) {
          row[c] -= factor * other[c];
        }
      }
      if (i >= first) {
        row[i] += 1.0;
      }
      for (int64_t c = std::max(first, i); c < end; ++c) {
        row[c] /= r.row(i)[i];
      }
    }
  });
  // Floats suffice for the rounding loop, and halve the memory that it reads.
  std::vector<float> out(static_cast<size_t>(size * size));
  for (int64_t i = 0; i < size * size; ++i) {
    out[static_cast<size_t>(i)] = static_cast<float>(inverse.row(0)[i]);
  }
  return out;
}

// The scale of a group with the least error; `importance` weights the error of each weight.
GroupScale BestScale(const GroupCodec& codec, absl::Span<const float> weights,
                     absl::Span<const double> importance, double least_scale) {
  // Clipping a few large weights can lower the error of all others, so smaller scales are tried as
  // well.
  GroupScale best = codec.choose_scale(weights);
  double least = -1.0;
  std::vector<float> shrunk(weights.size());
  for (int trial = 0; trial <= kScaleTrials; ++trial) {
    const double share = 1.0 - (1.0 - least_scale) * trial / kScaleTrials;
    for (size_t i = 0; i < weights.size(); ++i) {
      shrunk[i] = static_cast<float>(weights[i] * share);
    }
    const GroupScale scale = codec.choose_scale(shrunk);
    double error = 0.0;
    // The inputs' energy weights the errors, because a column with small inputs hardly changes the
    // product.
    for (size_t i = 0; i < weights.size(); ++i) {
      const double apart = weights[i] - codec.decode(codec.encode(weights[i], scale), scale);
      error += importance[i] * apart * apart;
    }
    if (least < 0.0 || error < least) {
      least = error;
      best = scale;
    }
    if (least_scale == 1.0) {
      break;
    }
  }
  return best;
}

// Inputs for rounding the rows of one matrix.
struct Rounding {
  const WeightMatrix& shape;
  const GroupCodec& codec;
  const std::vector<int64_t>& order;  // order of the columns
  const std::vector<float>& factor;   // R⁻¹, [columns, columns], in that order
  int64_t group = 0;
};

// Rounds rows [first, end), at most kRowsTogether.
void RoundRows(const Rounding& rounding, const float* weights, int64_t first, int64_t end,
               absl::Span<const GroupScale> scales, absl::Span<int8_t> codes) {
  const int64_t columns = rounding.shape.columns;
  const int64_t groups = columns / rounding.group;
  const auto rows = end - first;
  // A copy in processing order, which the compensation below changes.
  std::vector<float> work(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < columns; ++i) {
      work[static_cast<size_t>(r * columns + i)] =
          weights[(first + r) * columns + rounding.order[static_cast<size_t>(i)]];
    }
  }
  for (int64_t i = 0; i < columns; ++i) {
    const float* __restrict factor = rounding.factor.data() + i * columns;
    const int64_t column = rounding.order[static_cast<size_t>(i)];
    for (int64_t r = 0; r < rows; ++r) {
      float* __restrict row = work.data() + r * columns;
      const auto at = static_cast<size_t>((first + r) * columns + column);
      const GroupScale scale =
          scales[static_cast<size_t>((first + r) * groups + column / rounding.group)];
      codes[at] = rounding.codec.encode(row[i], scale);
      // Only later columns can still compensate; the row of R⁻¹ distributes the error over them at
      // the least squared change of the product (GPTQ, Algorithm 1).
      const float error = (row[i] - rounding.codec.decode(codes[at], scale)) / factor[i];
      for (int64_t c = i + 1; c < columns; ++c) {
        row[c] -= error * factor[c];
      }
    }
  }
}

}  // namespace

InputHessian::InputHessian(int64_t columns)
    : columns_(columns), sums_(static_cast<size_t>(columns * columns)) {}

void InputHessian::Add(const float* inputs, int64_t count, ThreadPool& pool) {
  const int64_t chunks = std::min<int64_t>(columns_, 8 * pool.threads());
  pool.ParallelFor(chunks, [&](int64_t chunk, int /*thread*/) {
    for (int64_t row = chunk; row < columns_; row += chunks) {
      double* __restrict sums = sums_.data() + row * columns_;
      for (int64_t i = 0; i < count; ++i) {
        const float* __restrict x = inputs + i * columns_;
        const auto factor = static_cast<double>(x[row]);
        for (int64_t column = 0; column <= row; ++column) {
          sums[column] += factor * static_cast<double>(x[column]);
        }
      }
    }
  });
  rows_seen_ += count;
}

void InputHessian::AddProducts(const float* products, int64_t count) {
  for (int64_t row = 0; row < columns_; ++row) {
    for (int64_t at = row * columns_; at <= row * columns_ + row; ++at) {
      sums_[static_cast<size_t>(at)] += static_cast<double>(products[at]);
    }
  }
  rows_seen_ += count;
}

void InputHessian::DivideColumns(absl::Span<const float> factors) {
  for (int64_t row = 0; row < columns_; ++row) {
    double* sums = sums_.data() + row * columns_;
    const auto factor = static_cast<double>(factors[static_cast<size_t>(row)]);
    for (int64_t column = 0; column <= row; ++column) {
      sums[column] /= factor * static_cast<double>(factors[static_cast<size_t>(column)]);
    }
  }
}

absl::Status RoundWithCompensation(const WeightMatrix& shape, const float* weights,
                                   const InputHessian& hessian, const GptqSettings& settings,
                                   ThreadPool& pool, absl::Span<int8_t> codes,
                                   absl::Span<GroupScale> scales) {
  const GroupCodec* codec = OperationsOf(shape.format.scheme).codec;
  if (codec == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(FormatName(shape.format), " has no codes to round to"));
  }
  if (hessian.columns() != shape.columns || hessian.rows_seen() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("error compensation of a matrix with ", shape.columns,
                     " columns: the statistics have ", hessian.columns(), " columns and ",
                     hessian.rows_seen(), " rows; give a longer calibration text"));
  }
  // Largest inputs first: their errors matter most, and most columns remain to compensate for them.
  std::vector<int64_t> order(static_cast<size_t>(shape.columns));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return hessian.at(a, a) > hessian.at(b, b); });
  Square factor = DampedHessian(hessian, settings.damping, order);
  if (!FactorInPlace(factor, pool)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "error compensation: the calibration statistics cannot be factored with damping ",
        settings.damping, "; give a longer calibration text or more damping"));
  }
  const std::vector<float> inverse = InverseOf(factor, pool);
  const Rounding rounding{shape, *codec, order, inverse, GroupColumns(shape)};
  const int64_t groups = GroupsOfRow(shape);
  // Groups consist of neighbouring columns in the original order, not in the order of rounding.
  std::vector<double> importance(static_cast<size_t>(shape.columns));
  for (int64_t c = 0; c < shape.columns; ++c) {
    importance[static_cast<size_t>(c)] = hessian.at(c, c);
  }
  const int64_t chunks = (shape.rows + kRowsTogether - 1) / kRowsTogether;
  pool.ParallelFor(chunks, [&](int64_t chunk, int /*thread*/) {
    const int64_t first = chunk * kRowsTogether;
    const int64_t end = std::min(shape.rows, first + kRowsTogether);
    const auto group = static_cast<size_t>(rounding.group);
    for (int64_t i = first * groups; i < end * groups; ++i) {
      scales[static_cast<size_t>(i)] = BestScale(
          *codec, absl::MakeConstSpan(weights + i * rounding.group, group),
          absl::MakeConstSpan(importance).subspan(static_cast<size_t>(i % groups) * group, group),
          settings.least_scale);
    }
    RoundRows(rounding, weights, first, end, scales, codes);
  });
  return absl::OkStatus();
}

double ProductError(const float* weights, const float* rounded, int64_t rows,
                    const InputHessian& hessian) {
  const int64_t columns = hessian.columns();
  std::vector<double> apart(static_cast<size_t>(columns));
  double total = 0.0;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      apart[static_cast<size_t>(c)] = static_cast<double>(weights[r * columns + c]) -
                                      static_cast<double>(rounded[r * columns + c]);
    }
    for (int64_t i = 0; i < columns; ++i) {
      double sum = 0.0;
      for (int64_t j = 0; j < columns; ++j) {
        sum += hessian.at(i, j) * apart[static_cast<size_t>(j)];
      }
      total += sum * apart[static_cast<size_t>(i)];
    }
  }
  return total;
}

void EvenOutColumns(absl::Span<const float> input_peaks, absl::Span<const float> weight_peaks,
                    absl::Span<float> factors) {
  double logarithms = 0.0;
  int64_t counted = 0;
  for (size_t c = 0; c < factors.size(); ++c) {
    const bool known = input_peaks[c] > 0.0F && weight_peaks[c] > 0.0F;
    factors[c] = known ? std::sqrt(input_peaks[c] / weight_peaks[c]) : 0.0F;
    logarithms += known ? std::log(static_cast<double>(factors[c])) : 0.0;
    counted += known ? 1 : 0;
  }
  // Only the ratios of the factors matter; a geometric mean of 1 keeps weights and inputs in their
  // range.
  const auto middle =
      static_cast<float>(std::exp(logarithms / static_cast<double>(std::max<int64_t>(counted, 1))));
  for (float& factor : factors) {
    factor = factor == 0.0F ? 1.0F : factor / middle;
  }
}

}  // namespace wattle::kernels
