// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "base/check.h"
#include "worker/engine/kernels/adafactor.h"
#include "worker/engine/kernels/adamw_8bit.h"
#include "worker/engine/kernels/bf16.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

static_assert(kernels::kMomentBlock == models::kMomentBlock);

// Elements that one thread updates at a time: whole blocks of moments in 8 bits.
constexpr int64_t kUpdateGrain = 1 << 16;
static_assert(kUpdateGrain % kernels::kMomentBlock == 0);
constexpr int64_t kRegionAlignment = 64;  // bytes: one line of the cache

// Calls body(first element, elements) for pieces that do not depend on the number of threads.
template <typename Body>
void ForEachPieceOf(int64_t count, Body body) {
  ForEachPiece(count, kUpdateGrain, [&](int64_t begin, int64_t end) { body(begin, end - begin); });
}

// Calls body(float*) for some of the weights: in their place, or widened from BF16 and then rounded
// back.
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
  ForEachPieceOf(parameter.weights.numel(), [&](int64_t first, int64_t count) {
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
  ForEachPieceOf(parameter.weights.numel(), [&](int64_t first, int64_t count) {
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

// A matrix in pieces of whole rows, which do not depend on the number of threads. Few pieces: each
// has a sum of its own for every column.
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

  // Takes this step's squares into the means, and finds the factors: 1 / √(row / mean of rows) and
  // 1 / √column.
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

// A vector has the second moment of each number.
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

void AdamWPlain(const kernels::AdamWStep& step, const UpdatedParameter& parameter,
                const at::Tensor& first, const at::Tensor& second) {
  const auto exponent = static_cast<double>(step.step);
  const at::Tensor gradient = parameter.gradients * step.gradient_scale;
  first.mul_(step.beta1).add_(gradient, 1.0 - step.beta1);
  second.mul_(step.beta2).addcmul_(gradient, gradient, 1.0 - step.beta2);
  const at::Tensor denominator =
      second.sqrt().mul_(1.0 / std::sqrt(1.0 - std::pow(step.beta2, exponent))).add_(step.epsilon);
  parameter.weights.mul_(1.0 - step.learning_rate * step.weight_decay)
      .addcdiv_(first, denominator, -step.learning_rate / (1.0 - std::pow(step.beta1, exponent)));
}

at::Tensor LevelsOn(absl::Span<const float> levels, at::Device device) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(levels.size())}, at::kFloat);
  std::copy(levels.begin(), levels.end(), tensor.data_ptr<float>());
  return tensor.to(device);
}

// Moments in 8 bits between codes and numbers.
class PlainMoment {
 public:
  PlainMoment(at::Tensor levels, const at::Tensor& codes, const at::Tensor& scales)
      : levels_(std::move(levels)), codes_(codes), scales_(scales) {}

  [[nodiscard]] at::Tensor Read() const {
    return (levels_.index_select(0, codes_.flatten().to(at::kLong)) * ScaleOfEach(scales_))
        .view(codes_.sizes());
  }

  // never_zero: a moment above 0 keeps a code above 0.
  void Write(const at::Tensor& moment, bool never_zero) {
    const int64_t blocks = scales_.numel();
    const at::Tensor flat = moment.flatten();
    scales_.copy_(at::constant_pad_nd(flat, {0, blocks * models::kMomentBlock - flat.numel()})
                      .view({blocks, models::kMomentBlock})
                      .abs()
                      .amax(1));
    const at::Tensor divisors = at::where(scales_ > 0, scales_, at::ones_like(scales_));
    const at::Tensor share = flat / ScaleOfEach(divisors);
    const int64_t last = levels_.numel() - 1;
    const at::Tensor borders = (levels_.narrow(0, 0, last) + levels_.narrow(0, 1, last)) / 2;
    at::Tensor codes = at::bucketize(share, borders);
    if (never_zero) {
      codes = at::maximum(codes, (share > 0).to(at::kLong));
    }
    codes_.copy_(codes.view(codes_.sizes()));
  }

 private:
  [[nodiscard]] at::Tensor ScaleOfEach(const at::Tensor& scales) const {
    return scales.unsqueeze(1)
        .expand({scales.numel(), models::kMomentBlock})
        .flatten()
        .narrow(0, 0, codes_.numel());
  }

  at::Tensor levels_;
  at::Tensor codes_;
  at::Tensor scales_;
};

void AdamW8bitPlain(const kernels::AdamWStep& step, const UpdatedParameter& parameter) {
  PlainMoment first_moment(parameter.levels.first, parameter.state[0], parameter.state[1]);
  PlainMoment second_moment(parameter.levels.second, parameter.state[2], parameter.state[3]);
  const at::Tensor first = first_moment.Read();
  const at::Tensor second = second_moment.Read();
  AdamWPlain(step, parameter, first, second);
  first_moment.Write(first, /*never_zero=*/false);
  second_moment.Write(second, /*never_zero=*/true);
}

void AdafactorPlain(const kernels::AdamWStep& step, const UpdatedParameter& parameter) {
  const at::Tensor gradient = parameter.gradients * step.gradient_scale;
  const at::Tensor squares = gradient * gradient + kernels::kAdafactorEpsilon;
  const double rest = AdafactorStepOf(step).rest2();
  const auto take = [rest](const at::Tensor& state, const at::Tensor& value) {
    state.mul_(1.0 - rest).add_(value, rest);
  };
  at::Tensor update;
  if (parameter.weights.dim() == 2) {
    const at::Tensor& rows = parameter.state[0];
    const at::Tensor& columns = parameter.state[1];
    take(rows, squares.mean(1));
    take(columns, squares.mean(0));
    update = gradient * (rows / rows.mean()).rsqrt().unsqueeze(1) * columns.rsqrt().unsqueeze(0);
  } else {
    take(parameter.state[0], squares);
    update = gradient * parameter.state[0].rsqrt();
  }
  const at::Tensor rms = update.norm().div_(std::sqrt(static_cast<double>(update.numel())));
  parameter.weights.mul_(1.0 - step.learning_rate * step.weight_decay)
      .sub_(update.div_(rms.clamp_min_(1.0)), step.learning_rate);
}

void UpdateOnCpu(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                 const UpdatedParameter& parameter) {
  if (optimizer == v1::OPTIMIZER_ADAFACTOR) {
    UpdateAdafactor(step, parameter);
  } else if (parameter.state.size() == 4) {  // a small tensor has FP32 moments
    UpdateAdamW8bit(step, parameter);
  } else {
    UpdateAdamW(step, parameter);
  }
}

}  // namespace

MomentLevels MomentLevelsOn(at::Device device) {
  return {.first = LevelsOn(kernels::FirstMomentLevels(), device),
          .second = LevelsOn(kernels::SecondMomentLevels(), device)};
}

OptimizerState MakeOptimizerState(v1::Optimizer optimizer, const std::vector<Parameter>& parameters,
                                  const ArenaLayout& layout, at::Device device) {
  OptimizerState state;
  state.optimizer = optimizer;
  struct Place {
    models::OptimizerTensor tensor;
    int64_t offset = 0;
  };
  std::vector<std::vector<Place>> places(parameters.size());
  int64_t size = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!layout.holds(i)) {
      continue;
    }
    for (models::OptimizerTensor& tensor :
         models::OptimizerTensors(optimizer, parameters[i].tensor.shape)) {
      const int64_t bytes = tensor.size_bytes();
      places[i].push_back({std::move(tensor), size});
      size += (bytes + kRegionAlignment - 1) / kRegionAlignment * kRegionAlignment;
    }
  }
  state.region = ZeroArena(size, at::TensorOptions(at::kByte).device(device));
  if (optimizer == v1::OPTIMIZER_ADAMW_8BIT && !device.is_cpu()) {
    state.levels = MomentLevelsOn(device);
  }
  state.tensors.resize(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    for (const Place& place : places[i]) {
      const at::Tensor bytes = state.region.narrow(0, place.offset, place.tensor.size_bytes());
      state.tensors[i].push_back(
          (place.tensor.in_bytes ? bytes : bytes.view(at::kFloat)).view(place.tensor.shape));
    }
  }
  return state;
}

DeviceNumber GradientNorm(const at::Tensor& gradients) {
  if (!gradients.device().is_cpu()) {
    return DeviceNumber(gradients.norm());
  }
  std::vector<double> sums(static_cast<size_t>(gradients.numel() / kUpdateGrain + 1));
  const float* values = gradients.data_ptr<float>();
  ForEachPieceOf(gradients.numel(), [&](int64_t first, int64_t count) {
    sums[static_cast<size_t>(first / kUpdateGrain)] = kernels::SumOfSquares(values + first, count);
  });
  return DeviceNumber(std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0)));
}

double ClipScale(const AdamWSettings& settings, double gradient_norm) {
  if (settings.clip_norm <= 0.0 || gradient_norm <= settings.clip_norm) {
    return 1.0;
  }
  return settings.clip_norm / gradient_norm;
}

void UpdateParameter(const kernels::AdamWStep& step, const UpdatedValues& values,
                     const GradientArena& gradients, size_t parameter, OptimizerState& state) {
  kernels::AdamWStep own = step;
  own.weight_decay = values.parameters[parameter].decays() ? step.weight_decay : 0.0;
  const UpdatedParameter updated = {
      .weights = values.values[parameter],
      .gradients = ArenaView(gradients.arena, gradients.layout, values.parameters, parameter),
      .state = state.tensors[parameter],
      .rounding = {.seed = state.rounding_seed,
                   .step = static_cast<uint64_t>(step.step),
                   .use = kernels::RandomUse::kWeightRounding,
                   .layer = static_cast<uint32_t>(parameter)},
      .levels = state.levels};
  if (updated.weights.device().is_cpu()) {
    UpdateOnCpu(state.optimizer, own, updated);
  } else {
    UpdatePlain(state.optimizer, own, updated);
  }
}

void UpdateParameters(const kernels::AdamWStep& step, const UpdatedValues& values,
                      const GradientArena& gradients, OptimizerState& state) {
  for (size_t i = 0; i < values.parameters.size(); ++i) {
    if (gradients.layout.holds(i)) {
      UpdateParameter(step, values, gradients, i, state);
    }
  }
}

void UpdatePlain(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                 const UpdatedParameter& parameter) {
  if (optimizer == v1::OPTIMIZER_ADAFACTOR) {
    AdafactorPlain(step, parameter);
  } else if (parameter.state.size() == 4) {
    AdamW8bitPlain(step, parameter);
  } else {
    AdamWPlain(step, parameter, parameter.state[0], parameter.state[1]);
  }
}

}  // namespace wattle::engine
