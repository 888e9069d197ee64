// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/kernels/adafactor.h"
#include "worker/engine/kernels/adamw_8bit.h"
#include "worker/engine/kernels/bf16.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

static_assert(kernels::kMomentBlock == models::kMomentBlock);

// Elements that one thread updates at a time: whole blocks of 8-bit moments.
constexpr int64_t kUpdateGrain = 1 << 16;
static_assert(kUpdateGrain % kernels::kMomentBlock == 0);

// Calls body(first element, elements) for pieces that do not depend on the number of threads.
template <typename Body>
void ForEachUpdatePiece(int64_t count, Body body) {
  ForEachPiece(count, kUpdateGrain, [&](int64_t begin, int64_t end) { body(begin, end - begin); });
}

// Calls body(float*) for some of the weights: in place, or widened from BF16 and then rounded back.
template <typename Body>
void OnFloats(const UpdatedParameter& parameter, int64_t first, int64_t count, Body body) {
  if (parameter.weights.scalar_type() == at::kFloat) {
    body(parameter.weights.data_ptr<float>() + first);
    return;
  }
  auto* numbers = static_cast<uint16_t*>(parameter.weights.data_ptr()) + first;
  std::vector<float> widened(static_cast<size_t>(count));
  kernels::WidenBf16(numbers, count, widened.data());
  body(widened.data());
  kernels::RoundBf16Stochastically(parameter.rounding, first, widened.data(), count, numbers);
}

void UpdateAdamW(const kernels::AdamWStep& step, const UpdatedParameter& parameter) {
  const auto* g = parameter.gradients.data_ptr<float>();
  auto* m = parameter.state[0].data_ptr<float>();
  auto* v = parameter.state[1].data_ptr<float>();
  ForEachUpdatePiece(parameter.weights.numel(), [&](int64_t first, int64_t count) {
    OnFloats(parameter, first, count, [&](float* weights) {
      kernels::AdamWUpdate(step, {weights, g + first, m + first, v + first, count});
    });
  });
}

void UpdateAdamW8bit(const kernels::AdamWStep& step, const UpdatedParameter& parameter) {
  const auto* gradients = parameter.gradients.data_ptr<float>();
  auto* first_codes = parameter.state[0].data_ptr<uint8_t>();
  auto* first_scales = parameter.state[1].data_ptr<float>();
  auto* second_codes = parameter.state[2].data_ptr<uint8_t>();
  auto* second_scales = parameter.state[3].data_ptr<float>();
  ForEachUpdatePiece(parameter.weights.numel(), [&](int64_t first, int64_t count) {
    const int64_t block = first / kernels::kMomentBlock;
    OnFloats(parameter, first, count, [&](float* weights) {
      kernels::AdamW8bitUpdate(step, {.weights = weights,
                                      .gradients = gradients + first,
                                      .first_codes = first_codes + first,
                                      .first_scales = first_scales + block,
                                      .second_codes = second_codes + first,
                                      .second_scales = second_scales + block,
                                      .count = count});
    });
  });
}

kernels::AdafactorStep AdafactorStepOf(const kernels::AdamWStep& step) {
  return {.step = step.step,
          .learning_rate = step.learning_rate,
          .weight_decay = step.weight_decay,
          .gradient_scale = step.gradient_scale};
}

// state ← (1 - rest) state + rest (sum / terms + ε).
void TakeMean(double rest, double sum, int64_t terms, float& state) {
  state = static_cast<float>((1.0 - rest) * state + rest * (sum / static_cast<double>(terms) +
                                                            kernels::kAdafactorEpsilon));
}

// Splits a matrix into pieces of whole rows, independent of the number of threads. Few pieces,
// because each has a sum of its own for every column.
class AdafactorMatrix {
 public:
  AdafactorMatrix(const kernels::AdafactorStep& step, const UpdatedParameter& parameter)
      : step_(step), parameter_(parameter) {
    rows_ = parameter.weights.size(0);
    columns_ = parameter.weights.size(1);
    const int64_t least = std::max<int64_t>(1, kUpdateGrain / columns_);
    piece_rows_ = std::max(least, (rows_ + kPiecesMax - 1) / kPiecesMax);
    pieces_ = (rows_ + piece_rows_ - 1) / piece_rows_;
    row_factors_.resize(static_cast<size_t>(rows_));
    column_factors_.resize(static_cast<size_t>(columns_));
  }

  void Update() {
    TakeSquares();
    std::vector<double> squares(static_cast<size_t>(pieces_));
    ForEachPiece([&](int64_t piece, const kernels::AdafactorRows& rows) {
      squares[static_cast<size_t>(piece)] = kernels::AdafactorUpdateSquares(step_, rows);
    });
    const double rms = std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0) /
                                 static_cast<double>(rows_ * columns_));
    ForEachPiece([&](int64_t piece, const kernels::AdafactorRows& rows) {
      OnFloats(parameter_, piece * piece_rows_ * columns_, rows.rows * columns_,
               [&](float* weights) {
                 kernels::AdafactorRows updated = rows;
                 updated.weights = weights;
                 kernels::AdafactorApply(step_, rms, updated);
               });
    });
  }

 private:
  static constexpr int64_t kPiecesMax = 64;

  // body(piece, its rows without the weights).
  template <typename Body>
  void ForEachPiece(Body body) {
    const auto* gradients = parameter_.gradients.data_ptr<float>();
    engine::ForEachPiece(rows_, piece_rows_, [&](int64_t row, int64_t end) {
      body(row / piece_rows_, kernels::AdafactorRows{.gradients = gradients + row * columns_,
                                                     .row_factors = row_factors_.data() + row,
                                                     .column_factors = column_factors_.data(),
                                                     .rows = end - row,
                                                     .columns = columns_});
    });
  }

  // Updates the means with this step's squares, and computes the factors: 1 / √(row / mean of rows)
  // and 1 / √column.
  void TakeSquares() {
    std::vector<double> row_sums(row_factors_.size());
    std::vector<double> column_sums(static_cast<size_t>(pieces_ * columns_));
    ForEachPiece([&](int64_t piece, const kernels::AdafactorRows& rows) {
      kernels::AdafactorSquares(step_, rows, row_sums.data() + piece * piece_rows_,
                                column_sums.data() + piece * columns_);
    });
    const double rest = step_.rest2();
    auto* row_means = parameter_.state[0].data_ptr<float>();
    auto* column_means = parameter_.state[1].data_ptr<float>();
    double total = 0.0;
    for (int64_t row = 0; row < rows_; ++row) {
      TakeMean(rest, row_sums[static_cast<size_t>(row)], columns_, row_means[row]);
      total += row_means[row];
    }
    const double mean = total / static_cast<double>(rows_);
    for (int64_t row = 0; row < rows_; ++row) {
      row_factors_[static_cast<size_t>(row)] =
          static_cast<float>(1.0 / std::sqrt(row_means[row] / mean));
    }
    for (int64_t column = 0; column < columns_; ++column) {
      double sum = 0.0;
      for (int64_t piece = 0; piece < pieces_; ++piece) {
        sum += column_sums[static_cast<size_t>(piece * columns_ + column)];
      }
      TakeMean(rest, sum, rows_, column_means[column]);
      column_factors_[static_cast<size_t>(column)] =
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(column_means[column])));
    }
  }

  const kernels::AdafactorStep step_;
  const UpdatedParameter& parameter_;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int64_t piece_rows_ = 0;
  int64_t pieces_ = 0;
  std::vector<float> row_factors_;
  std::vector<float> column_factors_;
};

// A vector has a second moment per number.
void UpdateAdafactorVector(const kernels::AdafactorStep& step, const UpdatedParameter& parameter) {
  const int64_t count = parameter.weights.numel();
  const auto* gradients = parameter.gradients.data_ptr<float>();
  auto* moments = parameter.state[0].data_ptr<float>();
  std::vector<float> factors(static_cast<size_t>(count));
  const auto scale = static_cast<float>(step.gradient_scale);
  for (int64_t i = 0; i < count; ++i) {
    const auto gradient = static_cast<double>(gradients[i] * scale);
    TakeMean(step.rest2(), gradient * gradient, 1, moments[i]);
    factors[static_cast<size_t>(i)] =
        static_cast<float>(1.0 / std::sqrt(static_cast<double>(moments[i])));
  }
  const float one = 1.0F;
  const kernels::AdafactorRows all = {.weights = parameter.weights.data_ptr<float>(),
                                      .gradients = gradients,
                                      .row_factors = &one,
                                      .column_factors = factors.data(),
                                      .rows = 1,
                                      .columns = count};
  const double squares = kernels::AdafactorUpdateSquares(step, all);
  kernels::AdafactorApply(step, std::sqrt(squares / static_cast<double>(count)), all);
}

void UpdateAdafactor(const kernels::AdamWStep& step, const UpdatedParameter& parameter) {
  if (parameter.weights.dim() == 2) {
    AdafactorMatrix(AdafactorStepOf(step), parameter).Update();
  } else {
    UpdateAdafactorVector(AdafactorStepOf(step), parameter);
  }
}

}  // namespace

DeviceNumber CpuDevice::NormOf(const at::Tensor& gradients) const {
  std::vector<double> sums(static_cast<size_t>(gradients.numel() / kUpdateGrain + 1));
  const float* values = gradients.data_ptr<float>();
  ForEachUpdatePiece(gradients.numel(), [&](int64_t first, int64_t count) {
    sums[static_cast<size_t>(first / kUpdateGrain)] = kernels::SumOfSquares(values + first, count);
  });
  return DeviceNumber(std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0)));
}

MomentLevels CpuDevice::LevelsOfMoments(at::Device /*device*/) const {
  return {};  // read by the kernels directly
}

void CpuDevice::Update(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                       const at::Tensor& decided,
                       absl::Span<const UpdatedParameter> parameters) const {
  WATTLE_CHECK(!decided.defined(), "the host decides for itself");
  for (const UpdatedParameter& parameter : parameters) {
    const kernels::AdamWStep own = StepOf(step, parameter);
    if (optimizer == v1::OPTIMIZER_ADAFACTOR) {
      UpdateAdafactor(own, parameter);
    } else if (parameter.state.size() == 4) {  // a small tensor has FP32 moments
      UpdateAdamW8bit(own, parameter);
    } else {
      UpdateAdamW(own, parameter);
    }
  }
}

}  // namespace wattle::engine
