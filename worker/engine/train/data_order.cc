// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/data_order.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

#include "worker/engine/kernels/random.h"

namespace wattle::engine {

DataOrder::DataOrder(uint64_t seed, int64_t examples)
    : DataOrder(seed, examples, std::vector<int64_t>(static_cast<size_t>(examples))) {
  std::iota(run_begins_.begin(), run_begins_.end(), 0);
}

DataOrder::DataOrder(uint64_t seed, int64_t examples, std::vector<int64_t> run_begins)
    : seed_(seed), examples_(examples), run_begins_(std::move(run_begins)) {}

int64_t DataOrder::At(int64_t position) {
  const int64_t epoch = position / examples_;
  if (epoch != epoch_) {
    std::vector<size_t> runs(run_begins_.size());
    std::iota(runs.begin(), runs.end(), 0);
    const kernels::RandomStream stream{
        .seed = seed_, .step = static_cast<uint64_t>(epoch), .use = kernels::RandomUse::kDataOrder};
    for (size_t i = runs.size() - 1; i > 0; --i) {  // Fisher and Yates
      const auto other = kernels::RandomBelow(stream, static_cast<int64_t>(i), i + 1);
      std::swap(runs[i], runs[static_cast<size_t>(other)]);
    }
    shuffled_.clear();
    for (const size_t run : runs) {
      const int64_t end = run + 1 < run_begins_.size() ? run_begins_[run + 1] : examples_;
      for (int64_t example = run_begins_[run]; example < end; ++example) {
        shuffled_.push_back(example);
      }
    }
    epoch_ = epoch;
  }
  return shuffled_[static_cast<size_t>(position % examples_)];
}

std::vector<int64_t> RunsThatBeginAlike(const formats::ExamplePool& pool) {
  std::vector<int64_t> begins = {0};
  for (size_t i = 1; i < pool.size(); ++i) {
    const size_t shorter = std::min(pool.TokenCount(i - 1), pool.TokenCount(i));
    if (2 * pool.CommonBeginning(i - 1, i) <= shorter) {
      begins.push_back(static_cast<int64_t>(i));
    }
  }
  return begins;
}

}  // namespace wattle::engine
