// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The next token from logits: greedy, or drawn after temperature, top-k and top-p, in that order,
// from the counter-based generator. Pure; plain C++.
#ifndef WATTLE_WORKER_ENGINE_GENERATE_SAMPLER_H_
#define WATTLE_WORKER_ENGINE_GENERATE_SAMPLER_H_

#include <cstdint>

#include "absl/types/span.h"

namespace wattle::engine {

struct SamplingSettings {
  double temperature = 0.0;  // 0: greedy
  int64_t top_k = 0;         // 0: all
  double top_p = 0.0;        // 0 or 1: all
  uint64_t seed = 0;
};

// The smallest index among the largest logits.
int64_t GreedyToken(absl::Span<const float> logits);

// unit: in [0, 1), decides the draw. Of equal logits the smaller token counts as more likely.
int64_t SampleToken(const SamplingSettings& settings, absl::Span<const float> logits, float unit);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_SAMPLER_H_
