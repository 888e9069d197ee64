// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/aten/random.h"
#include "worker/engine/kernels/adafactor.h"
#include "worker/engine/kernels/adamw_8bit.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

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

// Converts 8-bit moments between codes and numbers.
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
  const double rest = kernels::AdafactorStep{.step = step.step}.rest2();
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

}  // namespace

DeviceNumber AtenDevice::NormOf(const at::Tensor& gradients) const {
  return DeviceNumber(gradients.norm());
}

MomentLevels AtenDevice::LevelsOfMoments(at::Device device) const {
  return {.first = LevelsOn(kernels::FirstMomentLevels(), device),
          .second = LevelsOn(kernels::SecondMomentLevels(), device)};
}

void AtenDevice::Update(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                        const at::Tensor& decided,
                        absl::Span<const UpdatedParameter> parameters) const {
  const double scale = decided.defined() ? decided.item<double>() : step.gradient_scale;
  if (scale < 0.0) {
    return;
  }
  for (const UpdatedParameter& parameter : parameters) {
    kernels::AdamWStep own = StepOf(step, parameter);
    own.gradient_scale = scale;
    if (parameter.weights.scalar_type() != at::kBFloat16) {
      UpdatePlain(optimizer, own, parameter);
      continue;
    }
    UpdatedParameter widened = parameter;
    widened.weights = parameter.weights.to(at::kFloat);
    UpdatePlain(optimizer, own, widened);
    RoundToBf16Stochastically(parameter.rounding, widened.weights, parameter.weights);
  }
}

}  // namespace wattle::engine
