// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/cross_entropy.h"

#include <numeric>
#include <vector>

#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

DeviceNumber CpuDevice::CrossEntropyToGradient(const at::Tensor& targets, double gradient_scale,
                                               at::Tensor& logits) const {
  std::vector<double> losses(static_cast<size_t>(targets.size(0)));
  const int64_t vocabulary = logits.size(1);
  auto* rows = logits.data_ptr<float>();
  const auto* target_of = targets.data_ptr<int64_t>();
  ForEachPiece(targets.size(0), 1, [&](int64_t row, int64_t /*end*/) {
    losses[static_cast<size_t>(row)] = kernels::CrossEntropyAndGradient(
        rows + row * vocabulary, vocabulary, target_of[row], static_cast<float>(gradient_scale));
  });
  return DeviceNumber(std::accumulate(losses.begin(), losses.end(), 0.0));
}

}  // namespace wattle::engine
