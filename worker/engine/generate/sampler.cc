// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace wattle::engine {

int64_t GreedyToken(absl::Span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

int64_t SampleToken(const SamplingSettings& settings, absl::Span<const float> logits, float unit) {
  if (settings.temperature <= 0.0) {
    return GreedyToken(logits);
  }
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto more_likely = [&](size_t a, size_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };
  size_t kept = order.size();
  if (settings.top_k > 0) {
    kept = std::min(kept, static_cast<size_t>(settings.top_k));
  }
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    more_likely);
  std::vector<double> weights(kept);
  double total = 0.0;
  for (size_t i = 0; i < kept; ++i) {
    weights[i] =
        std::exp((static_cast<double>(logits[order[i]]) - logits[order[0]]) / settings.temperature);
    total += weights[i];
  }
  if (settings.top_p > 0.0 && settings.top_p < 1.0) {
    // The fewest most likely tokens whose share reaches top_p; the most likely one always stays.
    double share = 0.0;
    for (size_t i = 0; i < kept; ++i) {
      share += weights[i];
      if (share >= settings.top_p * total) {
        kept = i + 1;
        total = share;
        break;
      }
    }
  }
  const double target = static_cast<double>(unit) * total;
  double passed = 0.0;
  for (size_t i = 0; i < kept; ++i) {
    passed += weights[i];
    if (target < passed) {
      return static_cast<int64_t>(order[i]);
    }
  }
  return static_cast<int64_t>(order[kept - 1]);
}

}  // namespace wattle::engine
