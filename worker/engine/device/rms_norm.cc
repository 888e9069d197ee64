// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// RMSNorm by libtorch's operators, for devices without a kernel for it.
#include "worker/engine/device/device.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// The row-wise mean of a · b: [rows, 1].
at::Tensor MeanOfProduct(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).mean({-1}, /*keepdim=*/true);
}

at::Tensor Multiplier(const RmsGain& gain) {
  return gain.plus_one ? gain.weight + 1.0 : gain.weight;
}

}  // namespace

at::Tensor DeviceOperations::RmsNorm(const RmsGain& gain, double epsilon, const at::Tensor& x,
                                     at::Tensor& reciprocal) const {
  reciprocal = MeanOfProduct(x, x).add_(epsilon).rsqrt_();
  return (x * reciprocal).mul_(Multiplier(gain));
}

// y = w n, n = x r, r = (mean(x²) + ε)^(-1/2): dx = r (w g - n mean(n w g)).
at::Tensor DeviceOperations::RmsNormBackward(const RmsGain& gain, const at::Tensor& reciprocal,
                                             const at::Tensor& x, const at::Tensor& grad_out,
                                             const at::Tensor& gain_gradient) const {
  const at::Tensor normed = x * reciprocal;
  if (gain_gradient.defined()) {
    gain_gradient.add_((grad_out * normed).sum(0));
  }
  at::Tensor grad_x = grad_out * Multiplier(gain);
  const at::Tensor projection = MeanOfProduct(normed, grad_x);
  return grad_x.sub_(normed * projection).mul_(reciprocal);
}

}  // namespace wattle::engine
