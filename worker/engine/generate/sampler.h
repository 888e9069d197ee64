// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Chooses the next token from logits: greedily, or by a draw from the counter-based generator after
// temperature, top-k and top-p, in that order. Pure; plain C++.
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
// Whether every token is GreedyToken of the unchanged logits.
[[nodiscard]] bool IsGreedy(const SamplingSettings& settings);

// Divides the logit of each token by the penalty, or multiplies it if it is negative, so that a
// penalty above 1 makes the token less likely (Keskar et al. 2019, CTRL). `tokens` must be
// distinct, because a repeated token would be penalized twice.
void PenalizeRepetition(absl::Span<const int64_t> tokens, double penalty, absl::Span<float> logits);

// The smallest index among the largest logits.
int64_t GreedyToken(absl::Span<const float> logits);

// Draws tokens. Reuses its buffers, so that a draw does not allocate. Not thread-safe.
class Sampler {
 public:
  explicit Sampler(const SamplingSettings& settings) : settings_(settings) {}

  // Records tokens of the text: the repetition penalty applies to them.
  void Saw(absl::Span<const int64_t> tokens);

  // unit: in [0, 1), determines the draw: the position within the cumulative shares of the tokens,
  // most likely first. Of equal logits the smaller token counts as more likely.
  int64_t Draw(absl::Span<const float> logits, float unit);

 private:
  // Sorts the `count` most likely tokens to the front of order_.
  void SortFront(size_t count);
  [[nodiscard]] double WeightOf(size_t token) const;

  SamplingSettings settings_;
  std::vector<int64_t> seen_;     // distinct; empty without a penalty
  std::vector<bool> is_seen_;     // by token
  std::vector<float> penalized_;  // the logits of the draw, if there is a penalty
  absl::Span<const float> logits_;
  float largest_ = 0.0F;
  std::vector<uint32_t> order_;  // tokens; the first sorted_ are the most likely ones
  size_t sorted_ = 0;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_SAMPLER_H_
