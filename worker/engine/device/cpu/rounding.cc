// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int64_t kRowsTogether = 64;

}  // namespace

void CpuDevice::RoundToCodes(kernels::WeightFormat format, const at::Tensor& weights,
                             const at::Tensor& rounded) const {
  const kernels::GroupCodec& codec = *kernels::OperationsOf(format.scheme).codec;
  const int64_t columns = weights.size(1);
  const auto* source = weights.data_ptr<float>();
  auto* values = rounded.data_ptr<float>();
  const int64_t chunks = (weights.size(0) + kRowsTogether - 1) / kRowsTogether;
  KernelThreads().ParallelFor(chunks, [&](int64_t chunk, int /*thread*/) {
    const int64_t first = chunk * kRowsTogether;
    const kernels::WeightMatrix piece{.format = format,
                                      .rows = std::min(kRowsTogether, weights.size(0) - first),
                                      .columns = columns};
    std::vector<int8_t> codes(static_cast<size_t>(piece.rows * columns));
    std::vector<kernels::GroupScale> scales(
        static_cast<size_t>(piece.rows * kernels::GroupsOfRow(piece)));
    kernels::RoundToNearest(piece, source + first * columns, absl::MakeSpan(codes),
                            absl::MakeSpan(scales));
    const auto group = static_cast<size_t>(kernels::GroupColumns(piece));
    for (size_t i = 0; i < codes.size(); ++i) {
      values[first * columns + static_cast<int64_t>(i)] = codec.decode(codes[i], scales[i / group]);
    }
  });
}

}  // namespace wattle::engine
