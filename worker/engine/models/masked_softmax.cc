// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/masked_softmax.h"

#include <algorithm>

#include "worker/engine/device/device.h"

namespace wattle::engine {
std::vector<SeenKeys> SeenKeysOf(const SequenceGroup& group, int64_t seen, int64_t window) {
  std::vector<SeenKeys> keys;
  const int64_t cached = seen - group.tokens;
  const auto first_seen = [&](int64_t position) {
    return window == 0 ? 0 : std::max<int64_t>(0, position + 1 - window);
  };
  if (group.branches.empty()) {
    for (int64_t key = cached; key < seen; ++key) {
      keys.push_back({.end = key + 1, .hidden = {{{0, first_seen(key)}}}});
    }
    return keys;
  }
  const std::vector<Stretch> stretches = StretchesOf(group);
  const int64_t beginning = stretches.front().tokens;
  for (const Stretch& own : stretches) {
    for (int64_t t = 0; t < own.tokens; ++t) {
      const int64_t first = first_seen(own.first_position + t);
      const int64_t first_of_own = own.begin + std::max<int64_t>(0, first - own.first_position);
      keys.push_back({.end = own.begin + t + 1,
                      .hidden = {{{0, std::min(first, beginning)},
                                  {std::min(beginning, first_of_own), first_of_own}}}});
    }
  }
  return keys;
}

at::Tensor MaskedSoftmax(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                         const ProbabilityDropout& dropout, at::Tensor& scores) {
  return OperationsOn(scores).Softmax(factors, keys, dropout, scores);
}

at::Tensor MaskedSoftmaxBackward(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                                 const ProbabilityDropout& dropout, const at::Tensor& rows,
                                 at::Tensor& gradients) {
  return OperationsOn(gradients).SoftmaxBackward(factors, keys, dropout, rows, gradients);
}

}  // namespace wattle::engine
