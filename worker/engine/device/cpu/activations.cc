// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/kernels/activation.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int64_t kActivationGrain = 1 << 14;  // elements of one piece

}  // namespace

at::Tensor CpuDevice::Activate(models::Activation activation, const at::Tensor& x) const {
  if (!x.is_contiguous()) {  // half of a gated MLP's rows
    return AtenOperations().Activate(activation, x);
  }
  at::Tensor out = at::empty_like(x);
  const auto* from = x.data_ptr<float>();
  auto* to = out.data_ptr<float>();
  ForEachPiece(x.numel(), kActivationGrain, [&](int64_t begin, int64_t end) {
    kernels::Activate(NonlinearityOf(activation), from + begin, end - begin, to + begin);
  });
  return out;
}

at::Tensor CpuDevice::ActivateBackward(models::Activation activation, const at::Tensor& grad_out,
                                       const at::Tensor& x) const {
  if (!x.is_contiguous() || !grad_out.is_contiguous()) {
    return AtenOperations().ActivateBackward(activation, grad_out, x);
  }
  at::Tensor grad = at::empty_like(x);
  const auto* of_out = grad_out.data_ptr<float>();
  const auto* values = x.data_ptr<float>();
  auto* gradients = grad.data_ptr<float>();
  ForEachPiece(x.numel(), kActivationGrain, [&](int64_t begin, int64_t end) {
    kernels::ActivateBackward(NonlinearityOf(activation), of_out + begin, values + begin,
                              end - begin, gradients + begin);
  });
  return grad;
}

}  // namespace wattle::engine
