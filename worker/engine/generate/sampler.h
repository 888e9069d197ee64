// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The next token from logits: greedy, or drawn after temperature, top-k and top-p, in that order,
// from the counter-based generator. Pure; plain C++.
#ifndef WATTLE_WORKER_ENGINE_GENERATE_SAMPLER_H_
#define WATTLE_WORKER_ENGINE_GENERATE_SAMPLER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace wattle::engine {

struct SamplingSettings {
  double temperature = 0.0;  // 0: greedy
  int64_t top_k = 0;         // 0: all
  double top_p = 0.0;        // 0 or 1: all
  uint64_t seed = 0;
  double repetition_penalty = 1.0;  // 0 or 1: none
};

[[nodiscard]] bool PenalizesRepetition(const SamplingSettings& settings);
// Whether every token is GreedyToken of its logits as they are.
[[nodiscard]] bool IsGreedy(const SamplingSettings& settings);

// Divides the logit of each token by the penalty, and multiplies a negative one with it, so that
// above 1 the token becomes less likely (Keskar et al. 2019, CTRL). A token that stands twice in
// `tokens` would be penalized twice: they are distinct.
void PenalizeRepetition(absl::Span<const int64_t> tokens, double penalty, absl::Span<float> logits);

// The smallest index among the largest logits.
int64_t GreedyToken(absl::Span<const float> logits);

// Draws tokens. Keeps its buffers from draw to draw, so that a token allocates nothing. Not
// thread-safe.
class Sampler {
 public:
  explicit Sampler(const SamplingSettings& settings) : settings_(settings) {}

  // These tokens stand in the text: the repetition penalty applies to them.
  void Saw(absl::Span<const int64_t> tokens);

  // unit: in [0, 1), decides the draw: it is walked through the shares of the tokens from the most
  // likely on. Of equal logits the smaller token counts as more likely.
  int64_t Draw(absl::Span<const float> logits, float unit);

 private:
  // Brings the `count` most likely tokens to the front of order_, in order.
  void SortFront(size_t count);
  [[nodiscard]] double WeightOf(size_t token) const;

  SamplingSettings settings_;
  std::vector<int64_t> seen_;     // distinct; empty without a penalty
  std::vector<bool> is_seen_;     // by token
  std::vector<float> penalized_;  // the logits of the draw, where there is a penalty
  absl::Span<const float> logits_;
  float largest_ = 0.0F;
  std::vector<uint32_t> order_;  // tokens; the first sorted_ are the most likely ones
  size_t sorted_ = 0;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_SAMPLER_H_
