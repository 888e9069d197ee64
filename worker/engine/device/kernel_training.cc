// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// KernelDevice's operations between the products of a training step.
#include <algorithm>
#include <cstdint>

#include "worker/engine/device/aten/attention_bounds.h"
#include "worker/engine/device/cuda/dropout.h"
#include "worker/engine/device/cuda/training_step.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/models/masked_softmax.h"
#include "worker/engine/models/products.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

cuda::StoredAs StoredAsOf(FactorType factors) {
  switch (factors) {
    case FactorType::kBf16:
      return cuda::kStoredBf16;
    case FactorType::kFp16:
      return cuda::kStoredFp16;
    case FactorType::kFloat32:
      break;
  }
  return cuda::kStoredFloat;
}

// A new tensor for `rows` in the type of the factors.
at::Tensor EmptyLike(const at::Tensor& rows, FactorType factors) {
  return at::empty(rows.sizes(), rows.options().dtype(TypeOf(factors)));
}

// Whether each query sees one key more than the query before it, and no key is hidden.
bool SeesOneMoreEach(const std::vector<SeenKeys>& keys) {
  int64_t end = keys.front().end;
  return std::all_of(keys.begin(), keys.end(), [&](const SeenKeys& of_query) {
    const auto empty = [](const SeenKeys::Range& range) { return range.begin >= range.end; };
    return of_query.end == end++ && empty(of_query.hidden[0]) && empty(of_query.hidden[1]);
  });
}

// The rows of `scores`, and the tensor of their borders, if the device needs it.
struct RowsOnDevice {
  cuda::SeenRows shape = {};
  at::Tensor borders;
};

RowsOnDevice RowsOf(const std::vector<SeenKeys>& keys, const at::Tensor& scores) {
  RowsOnDevice rows;
  rows.shape = {.rows = scores.numel() / scores.size(-1),
                .queries = static_cast<int>(keys.size()),
                .seen = static_cast<int>(scores.size(-1)),
                .first_end = static_cast<int>(keys.front().end),
                .borders = nullptr};
  if (!SeesOneMoreEach(keys)) {
    rows.borders = Upload(BordersOf(keys), scores.device());
    rows.shape.borders = reinterpret_cast<const long long*>(  // NOLINT(google-runtime-int)
        rows.borders.data_ptr<int64_t>());
  }
  return rows;
}

// Inactive dropout becomes a mask that keeps all elements.
cuda::DropoutMask MaskOf(const ProbabilityDropout& dropout) {
  return cuda::MaskOf(StreamOfProbabilities(dropout), dropout.active() ? dropout.rate : 0.0);
}

}  // namespace

bool KernelDevice::IsDense(const at::Tensor& x) {
  return x.is_contiguous() && x.scalar_type() == at::kFloat && x.numel() > 0;
}

at::Tensor KernelDevice::Softmax(FactorType factors, const std::vector<SeenKeys>& keys,
                                 const ProbabilityDropout& dropout, at::Tensor& scores) const {
  const at::Tensor dropped = factors == FactorType::kFloat32 ? scores : EmptyLike(scores, factors);
  if (IsDense(scores) && Carries(scores.device(), [&](cuda::KernelLauncher& launcher) {
        const RowsOnDevice rows = RowsOf(keys, scores);
        return cuda::Launch(cuda::MaskedSoftmaxArguments{.shape = rows.shape,
                                                         .scores = scores.data_ptr<float>(),
                                                         .dropped = dropped.data_ptr(),
                                                         .stored = StoredAsOf(factors),
                                                         .mask = MaskOf(dropout),
                                                         .first = dropout.first_element},
                            launcher);
      })) {
    return dropped;
  }
  return AtenDevice::Softmax(factors, keys, dropout, scores);
}

at::Tensor KernelDevice::SoftmaxBackward(FactorType factors, const std::vector<SeenKeys>& keys,
                                         const ProbabilityDropout& dropout,
                                         const at::Tensor& scores, at::Tensor& gradients) const {
  const bool rounded = factors != FactorType::kFloat32;
  const at::Tensor dropped = rounded ? EmptyLike(scores, factors) : scores;
  const at::Tensor of_scores = rounded ? EmptyLike(gradients, factors) : gradients;
  if (IsDense(scores) && IsDense(gradients) &&
      Carries(gradients.device(), [&](cuda::KernelLauncher& launcher) {
        const RowsOnDevice rows = RowsOf(keys, scores);
        return cuda::Launch(
            cuda::MaskedSoftmaxBackwardArguments{.shape = rows.shape,
                                                 .scores = scores.data_ptr<float>(),
                                                 .gradients = gradients.data_ptr<float>(),
                                                 .of_scores = of_scores.data_ptr(),
                                                 .dropped = dropped.data_ptr(),
                                                 .stored = StoredAsOf(factors),
                                                 .mask = MaskOf(dropout),
                                                 .first = dropout.first_element},
            launcher);
      })) {
    gradients = of_scores;
    return dropped;
  }
  const DropoutState no_dropout;
  at::Tensor probabilities = scores;
  AtenDevice::Softmax(FactorType::kFloat32, keys, {.state = no_dropout}, probabilities);
  return AtenDevice::SoftmaxBackward(factors, keys, dropout, probabilities, gradients);
}

DeviceNumber KernelDevice::CrossEntropyToGradient(const at::Tensor& targets, double gradient_scale,
                                                  at::Tensor& logits) const {
  const at::Tensor losses = at::empty({logits.size(0)}, logits.options());
  const bool rows =
      logits.scalar_type() == at::kFloat && logits.stride(1) == 1 && logits.size(0) > 0;
  if (rows && Carries(logits.device(), [&](cuda::KernelLauncher& launcher) {
        return cuda::Launch(
            cuda::CrossEntropyArguments{
                .logits = logits.data_ptr<float>(),
                .targets = reinterpret_cast<const long long*>(  // NOLINT(google-runtime-int)
                    targets.data_ptr<int64_t>()),
                .losses = losses.data_ptr<float>(),
                .vocabulary = static_cast<int>(logits.size(1)),
                .stride = static_cast<int>(logits.stride(0)),
                .gradient_scale = static_cast<float>(gradient_scale)},
            static_cast<int>(logits.size(0)), launcher);
      })) {
    return DeviceNumber(losses.sum(at::kDouble));
  }
  return AtenDevice::CrossEntropyToGradient(targets, gradient_scale, logits);
}

void KernelDevice::DropOut(const kernels::RandomStream& stream, double rate, at::Tensor& x) const {
  if (!IsDense(x) || !Carries(x.device(), [&](cuda::KernelLauncher& launcher) {
        return cuda::Launch(cuda::Dropout{.mask = cuda::MaskOf(stream, rate),
                                          .in = x.data_ptr<float>(),
                                          .out = x.data_ptr<float>(),
                                          .count = x.numel()},
                            launcher);
      })) {
    AtenDevice::DropOut(stream, rate, x);
  }
}

at::Tensor KernelDevice::DroppedOut(const kernels::RandomStream& stream, double rate,
                                    const at::Tensor& x) const {
  const at::Tensor in = x.contiguous();
  const at::Tensor out = at::empty_like(in);
  if (IsDense(in) && Carries(in.device(), [&](cuda::KernelLauncher& launcher) {
        return cuda::Launch(cuda::Dropout{.mask = cuda::MaskOf(stream, rate),
                                          .in = in.data_ptr<float>(),
                                          .out = out.data_ptr<float>(),
                                          .count = in.numel()},
                            launcher);
      })) {
    return out;
  }
  return AtenDevice::DroppedOut(stream, rate, x);
}

at::Tensor KernelDevice::RmsNorm(const RmsGain& gain, double epsilon, const at::Tensor& x,
                                 at::Tensor& reciprocal) const {
  if (IsDense(x) && IsDense(gain.weight)) {
    const int64_t rows = x.numel() / x.size(-1);
    const at::Tensor out = at::empty_like(x);
    const at::Tensor reciprocals = at::empty({rows, 1}, x.options());
    if (Carries(x.device(), [&](cuda::KernelLauncher& launcher) {
          return cuda::Launch(cuda::RmsNormArguments{.x = x.data_ptr<float>(),
                                                     .gain = gain.weight.data_ptr<float>(),
                                                     .reciprocals = reciprocals.data_ptr<float>(),
                                                     .out = out.data_ptr<float>(),
                                                     .width = static_cast<int>(x.size(-1)),
                                                     .gain_offset = gain.plus_one ? 1.0F : 0.0F,
                                                     .epsilon = static_cast<float>(epsilon)},
                              static_cast<int>(rows), launcher);
        })) {
      reciprocal = reciprocals;
      return out;
    }
  }
  return AtenDevice::RmsNorm(gain, epsilon, x, reciprocal);
}

at::Tensor KernelDevice::RmsNormBackward(const RmsGain& gain, const at::Tensor& reciprocal,
                                         const at::Tensor& x, const at::Tensor& grad_out,
                                         const at::Tensor& gain_gradient) const {
  const bool trained = gain_gradient.defined();
  if (IsDense(x) && IsDense(grad_out) && IsDense(reciprocal) && IsDense(gain.weight) &&
      (!trained || IsDense(gain_gradient))) {
    const int64_t width = x.size(-1);
    const auto rows = static_cast<int>(x.numel() / width);
    const int chunks = cuda::ChunksOf(rows);
    const at::Tensor of_x = at::empty_like(x);
    const at::Tensor sums = trained ? at::empty({chunks, width}, x.options()) : at::Tensor();
    if (Carries(x.device(), [&](cuda::KernelLauncher& launcher) {
          return cuda::Launch(
              cuda::RmsNormBackwardArguments{
                  .x = x.data_ptr<float>(),
                  .gain = gain.weight.data_ptr<float>(),
                  .reciprocals = reciprocal.data_ptr<float>(),
                  .gradients = grad_out.data_ptr<float>(),
                  .of_x = of_x.data_ptr<float>(),
                  .gain_sums = trained ? sums.data_ptr<float>() : nullptr,
                  .gain_gradient = trained ? gain_gradient.data_ptr<float>() : nullptr,
                  .rows = rows,
                  .width = static_cast<int>(width),
                  .chunks = chunks,
                  .gain_offset = gain.plus_one ? 1.0F : 0.0F},
              launcher);
        })) {
      return of_x;
    }
  }
  return AtenDevice::RmsNormBackward(gain, reciprocal, x, grad_out, gain_gradient);
}

}  // namespace wattle::engine
