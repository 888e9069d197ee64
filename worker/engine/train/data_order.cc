// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/data_order.h"

#include <cstddef>
#include <numeric>
#include <utility>

#include "worker/engine/kernels/random.h"

namespace wattle::engine {

int64_t DataOrder::At(int64_t position) {
  const int64_t epoch = position / examples_;
  if (epoch != epoch_) {
    shuffled_.resize(static_cast<size_t>(examples_));
    std::iota(shuffled_.begin(), shuffled_.end(), 0);
    const kernels::RandomStream stream{
        .seed = seed_, .step = static_cast<uint64_t>(epoch), .use = kernels::RandomUse::kDataOrder};
    for (int64_t i = examples_ - 1; i > 0; --i) {  // Fisher and Yates
      const auto other = kernels::RandomBelow(stream, i, static_cast<uint64_t>(i) + 1);
      std::swap(shuffled_[static_cast<size_t>(i)], shuffled_[static_cast<size_t>(other)]);
    }
    epoch_ = epoch;
  }
  return shuffled_[static_cast<size_t>(position % examples_)];
}

}  // namespace wattle::engine
