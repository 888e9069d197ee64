// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/decoder_config.h"
#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// libtorch's names for the two forms of GELU: the approximation by tanh, and exact.
const char* GeluKind(models::Activation activation) {
  return activation == models::Activation::kGeluTanh ? "tanh" : "none";
}

}  // namespace

at::Tensor AtenDevice::Activate(models::Activation activation, const at::Tensor& x) const {
  switch (activation) {
    case models::Activation::kSilu:
      return at::silu(x);
    case models::Activation::kRelu:
      return at::relu(x);
    default:
      return at::gelu(x, GeluKind(activation));
  }
}

at::Tensor AtenDevice::ActivateBackward(models::Activation activation, const at::Tensor& grad_out,
                                        const at::Tensor& x) const {
  switch (activation) {
    case models::Activation::kSilu:
      return at::silu_backward(grad_out, x);
    case models::Activation::kRelu:
      return at::threshold_backward(grad_out, x, 0);
    default:
      return at::gelu_backward(grad_out, x, GeluKind(activation));
  }
}

}  // namespace wattle::engine
