// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/random.h"

#include <algorithm>

#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// Elements that one thread processes at a time: they stay in its cache from the copy to the change.
// A multiple of the generator's block; the split does not change the result.
constexpr int64_t kRandomGrain = 1 << 15;

}  // namespace

void CpuDevice::DropOut(const kernels::RandomStream& stream, double rate, at::Tensor& x) const {
  auto* values = x.data_ptr<float>();
  ForEachPiece(x.numel(), kRandomGrain, [&](int64_t begin, int64_t end) {
    kernels::ApplyDropout(stream, rate, begin, end - begin, values + begin);
  });
}

at::Tensor CpuDevice::DroppedOut(const kernels::RandomStream& stream, double rate,
                                 const at::Tensor& x) const {
  if (!x.is_contiguous()) {
    at::Tensor out = x.clone(at::MemoryFormat::Contiguous);
    DropOut(stream, rate, out);
    return out;
  }
  at::Tensor out = at::empty_like(x);
  const auto* from = x.data_ptr<float>();
  auto* to = out.data_ptr<float>();
  ForEachPiece(x.numel(), kRandomGrain, [&](int64_t begin, int64_t end) {
    std::copy(from + begin, from + end, to + begin);
    kernels::ApplyDropout(stream, rate, begin, end - begin, to + begin);
  });
  return out;
}

void CpuDevice::AddSigns(const kernels::RandomStream& stream, float magnitude,
                         int64_t first_element, const at::Tensor& from,
                         const at::Tensor& to) const {
  const auto* source = from.data_ptr<float>();
  auto* target = to.data_ptr<float>();
  ForEachPiece(from.numel(), kRandomGrain, [&](int64_t begin, int64_t end) {
    if (source != target) {
      std::copy_n(source + begin, end - begin, target + begin);
    }
    kernels::AddRandomSigns(stream, magnitude, first_element + begin, end - begin, target + begin);
  });
}

void CpuDevice::AddSignsToRows(const kernels::RandomStream& stream, float magnitude,
                               const at::Tensor& numbers, at::Tensor& x) const {
  const int64_t width = x.size(1);
  const auto* number = numbers.data_ptr<int64_t>();
  for (int64_t row = 0; row < x.size(0); ++row) {
    const at::Tensor values = x[row];
    AddSigns(stream, magnitude, number[row] * width, values, values);
  }
}

}  // namespace wattle::engine
