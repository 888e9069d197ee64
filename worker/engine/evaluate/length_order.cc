// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/evaluate/length_order.h"

#include <algorithm>
#include <numeric>

namespace wattle::engine {

std::vector<size_t> ByLength(const formats::ExamplePool& examples) {
  std::vector<size_t> order(examples.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return examples.TokenCount(a) > examples.TokenCount(b);
  });
  return order;
}

int64_t PaddedTokens(const formats::ExamplePool& examples, absl::Span<const size_t> order,
                     int64_t batch_size) {
  const auto count = static_cast<int64_t>(order.size());
  int64_t tokens = 0;
  for (int64_t first = 0; first < count; first += batch_size) {
    const auto longest =
        static_cast<int64_t>(examples.TokenCount(order[static_cast<size_t>(first)]));
    tokens += std::min(batch_size, count - first) * longest;
  }
  return tokens;
}

int64_t RoomForPasses(const models::DecoderConfig& config, const models::PassDescription& pass) {
  const int64_t planned = models::PlanPass(config, pass).arena_bytes;
  return planned + planned / 4;
}

}  // namespace wattle::engine
