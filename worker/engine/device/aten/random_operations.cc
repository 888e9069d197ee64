// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/aten/random.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

void AtenDevice::DropOut(const kernels::RandomStream& stream, double rate, at::Tensor& x) const {
  x.mul_(DropoutFactors(stream, rate, 0, x));
}

at::Tensor AtenDevice::DroppedOut(const kernels::RandomStream& stream, double rate,
                                  const at::Tensor& x) const {
  return (x * DropoutFactors(stream, rate, 0, x)).contiguous();
}

void AtenDevice::AddSigns(const kernels::RandomStream& stream, float magnitude,
                          int64_t first_element, const at::Tensor& from,
                          const at::Tensor& to) const {
  at::Tensor out = to;
  at::add_out(out, from, RandomSigns(stream, magnitude, first_element, from));
}

void AtenDevice::AddSignsToRows(const kernels::RandomStream& stream, float magnitude,
                                const at::Tensor& numbers, at::Tensor& x) const {
  const at::Tensor elements = numbers.unsqueeze(1).mul(x.size(1)).add(
      at::arange(x.size(1), at::dtype(at::kLong).device(x.device())));
  x.add_(RandomSignsAt(stream, magnitude, elements));
}

}  // namespace wattle::engine
