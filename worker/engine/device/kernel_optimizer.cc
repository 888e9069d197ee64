// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The optimizers of KernelDevice.
#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "worker/engine/device/cuda/random_words.h"
#include "worker/engine/device/cuda/training_step.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/kernels/adafactor.h"
#include "worker/engine/kernels/adamw.h"
#include "worker/engine/torch_operators.h"
#include "worker/engine/train/optimizer.h"

namespace wattle::engine {
namespace {

using cuda::WeightType;

constexpr size_t kStateIn8Bits = 4;  // tensors: codes and scales of both moments

WeightType TypeOf(const UpdatedParameter& parameter) {
  return parameter.weights.scalar_type() == at::kBFloat16 ? WeightType::kBf16
                                                          : WeightType::kFloat32;
}

// Whether the kernels can read the parameter's tensors, which must be contiguous.
bool IsServed(const UpdatedParameter& parameter) {
  const at::ScalarType type = parameter.weights.scalar_type();
  return parameter.weights.is_contiguous() && parameter.weights.numel() > 0 &&
         (type == at::kFloat || type == at::kBFloat16) && parameter.gradients.is_contiguous() &&
         parameter.gradients.scalar_type() == at::kFloat;
}

const float* NumberOf(const at::Tensor& decided) {
  return decided.defined() ? decided.data_ptr<float>() : nullptr;
}

float KeepOf(const kernels::AdamWStep& step, const UpdatedParameter& parameter) {
  return kernels::ScalarsOf(StepOf(step, parameter)).keep;
}

absl::Status UpdateAdamW(const kernels::AdamWStep& step, const at::Tensor& decided,
                         absl::Span<const UpdatedParameter> parameters,
                         cuda::KernelLauncher& launcher) {
  cuda::AdamWArguments arguments = {.parameters = {},
                                    .numbers = cuda::NumbersOf(step, NumberOf(decided))};
  for (size_t i = 0; i < parameters.size(); ++i) {
    const UpdatedParameter& parameter = parameters[i];
    arguments.parameters[i] = {.weights = parameter.weights.data_ptr(),
                               .gradients = parameter.gradients.data_ptr<float>(),
                               .first_moments = parameter.state[0].data_ptr<float>(),
                               .second_moments = parameter.state[1].data_ptr<float>(),
                               .count = parameter.weights.numel(),
                               .first_block = 0,
                               .keep = KeepOf(step, parameter),
                               .rounding = cuda::WordsOf(parameter.rounding)};
  }
  return cuda::Launch(arguments, TypeOf(parameters.front()), launcher);
}

absl::Status UpdateAdamW8bit(const kernels::AdamWStep& step, const at::Tensor& decided,
                             absl::Span<const UpdatedParameter> parameters,
                             cuda::KernelLauncher& launcher) {
  const MomentLevels& levels = parameters.front().levels;
  cuda::AdamW8bitArguments arguments = {.parameters = {},
                                        .first_levels = levels.first.data_ptr<float>(),
                                        .second_levels = levels.second.data_ptr<float>(),
                                        .numbers = cuda::NumbersOf(step, NumberOf(decided))};
  for (size_t i = 0; i < parameters.size(); ++i) {
    const UpdatedParameter& parameter = parameters[i];
    arguments.parameters[i] = {.weights = parameter.weights.data_ptr(),
                               .gradients = parameter.gradients.data_ptr<float>(),
                               .first_codes = parameter.state[0].data_ptr<uint8_t>(),
                               .first_scales = parameter.state[1].data_ptr<float>(),
                               .second_codes = parameter.state[2].data_ptr<uint8_t>(),
                               .second_scales = parameter.state[3].data_ptr<float>(),
                               .count = parameter.weights.numel(),
                               .first_block = 0,
                               .keep = KeepOf(step, parameter),
                               .rounding = cuda::WordsOf(parameter.rounding)};
  }
  return cuda::Launch(arguments, TypeOf(parameters.front()), launcher);
}

absl::Status UpdateAdafactor(const kernels::AdamWStep& step, const at::Tensor& decided,
                             const UpdatedParameter& parameter, cuda::KernelLauncher& launcher) {
  const bool matrix = parameter.weights.dim() == 2;
  const int64_t columns = matrix ? parameter.weights.size(1) : parameter.weights.numel();
  const int64_t rows = parameter.weights.numel() / columns;
  const int chunks = cuda::ChunksOf(static_cast<int>(rows));
  const at::Tensor room =
      at::empty({2 * rows + columns + chunks * columns + 1}, parameter.gradients.options());
  auto* const row_factors = room.data_ptr<float>();
  float* const row_squares = row_factors + rows;
  float* const column_factors = row_squares + rows;
  float* const sums = column_factors + columns;
  return cuda::Launch(
      cuda::AdafactorArguments{
          .weights = parameter.weights.data_ptr(),
          .gradients = parameter.gradients.data_ptr<float>(),
          .row_means = matrix ? parameter.state[0].data_ptr<float>() : nullptr,
          .column_means = parameter.state.back().data_ptr<float>(),
          .row_factors = row_factors,
          .column_factors = column_factors,
          .sums = sums,
          .row_squares = row_squares,
          .rate = sums + chunks * columns,
          .rows = static_cast<int>(rows),
          .columns = static_cast<int>(columns),
          .chunks = chunks,
          .rest = static_cast<float>(kernels::AdafactorStep{.step = step.step}.rest2()),
          .learning_rate = static_cast<float>(step.learning_rate),
          .keep = KeepOf(step, parameter),
          .gradient_scale = static_cast<float>(step.gradient_scale),
          .decided = NumberOf(decided),
          .rounding = cuda::WordsOf(parameter.rounding)},
      TypeOf(parameter), launcher);
}

}  // namespace

bool KernelDevice::UpdatedByKernels(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                                    const at::Tensor& decided,
                                    absl::Span<const UpdatedParameter> parameters) const {
  const bool served = std::all_of(parameters.begin(), parameters.end(), IsServed);
  return served &&
         Carries(parameters.front().weights.device(), [&](cuda::KernelLauncher& launcher) {
           if (optimizer == v1::OPTIMIZER_ADAFACTOR) {
             absl::Status status;
             for (size_t i = 0; i < parameters.size() && status.ok(); ++i) {
               status = UpdateAdafactor(step, decided, parameters[i], launcher);
             }
             return status;
           }
           return parameters.front().state.size() == kStateIn8Bits
                      ? UpdateAdamW8bit(step, decided, parameters, launcher)
                      : UpdateAdamW(step, decided, parameters, launcher);
         });
}

void KernelDevice::Update(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                          const at::Tensor& decided,
                          absl::Span<const UpdatedParameter> parameters) const {
  // Small parameters have FP32 moments while others have 8-bit ones, and FP32 weights while others
  // have BF16.
  std::map<std::pair<bool, WeightType>, std::vector<UpdatedParameter>> kinds;
  for (const UpdatedParameter& parameter : parameters) {
    kinds[{parameter.state.size() == kStateIn8Bits, TypeOf(parameter)}].push_back(parameter);
  }
  for (const auto& [kind, alike] : kinds) {
    constexpr size_t kTogether = cuda::kUpdatedParameters;
    for (size_t first = 0; first < alike.size(); first += kTogether) {
      const auto some = absl::MakeConstSpan(alike).subspan(first, kTogether);
      if (!UpdatedByKernels(optimizer, step, decided, some)) {
        AtenDevice::Update(optimizer, step, decided, some);
      }
    }
  }
}

}  // namespace wattle::engine
