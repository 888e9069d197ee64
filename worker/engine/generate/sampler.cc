// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace wattle::engine {
namespace {

// Tokens sorted at first. Most draws end among them, so the vocabulary is partitioned once and
// never sorted as a whole.
constexpr size_t kFirstSorted = 64;

}  // namespace

bool PenalizesRepetition(const SamplingSettings& settings) {
  return settings.repetition_penalty != 0.0 && settings.repetition_penalty != 1.0;
}

bool IsGreedy(const SamplingSettings& settings) {
  return settings.temperature <= 0.0 && !PenalizesRepetition(settings);
}

int64_t GreedyToken(absl::Span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

void PenalizeRepetition(absl::Span<const int64_t> tokens, double penalty,
                        absl::Span<float> logits) {
  const auto factor = static_cast<float>(penalty);
  for (const int64_t token : tokens) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0.0F ? logit / factor : logit * factor;
  }
}

void Sampler::Saw(absl::Span<const int64_t> tokens) {
  if (!PenalizesRepetition(settings_)) {
    return;
  }
  for (const int64_t token : tokens) {
    const auto index = static_cast<size_t>(token);
    if (index >= is_seen_.size()) {
      is_seen_.resize(index + 1);
    }
    if (!is_seen_[index]) {
      is_seen_[index] = true;
      seen_.push_back(token);
    }
  }
}

void Sampler::SortFront(size_t count) {
  const auto more_likely = [this](uint32_t a, uint32_t b) {
    return logits_[a] > logits_[b] || (logits_[a] == logits_[b] && a < b);
  };
  while (sorted_ < count) {
    // Doubling keeps the work linear in the vocabulary, and that of a long search O(n log n).
    const size_t wanted = std::max({count, kFirstSorted, 2 * sorted_});
    const size_t end = std::min(order_.size(), wanted);
    const auto first = order_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    const auto last = order_.begin() + static_cast<std::ptrdiff_t>(end);
    if (last != order_.end()) {
      std::nth_element(first, last, order_.end(), more_likely);
    }
    std::sort(first, last, more_likely);
    sorted_ = end;
  }
}

double Sampler::WeightOf(size_t token) const {
  return std::exp((static_cast<double>(logits_[token]) - largest_) / settings_.temperature);
}

int64_t Sampler::Draw(absl::Span<const float> logits, float unit) {
  if (!seen_.empty()) {
    penalized_.assign(logits.begin(), logits.end());
    PenalizeRepetition(seen_, settings_.repetition_penalty, absl::MakeSpan(penalized_));
    logits = penalized_;
  }
  if (settings_.temperature <= 0.0) {
    return GreedyToken(logits);
  }
  logits_ = logits;
  largest_ = logits[static_cast<size_t>(GreedyToken(logits))];
  order_.resize(logits.size());
  std::iota(order_.begin(), order_.end(), uint32_t{0});
  sorted_ = 0;

  size_t kept = order_.size();
  double total = 0.0;
  if (settings_.top_k > 0 && static_cast<size_t>(settings_.top_k) < kept) {
    kept = static_cast<size_t>(settings_.top_k);
    SortFront(kept);
    for (size_t i = 0; i < kept; ++i) {
      total += WeightOf(order_[i]);
    }
  } else {
    for (size_t token = 0; token < kept; ++token) {
      total += WeightOf(token);
    }
  }
  if (settings_.top_p > 0.0 && settings_.top_p < 1.0) {
    // The smallest number of most likely tokens whose share reaches top_p; at least one.
    double share = 0.0;
    for (size_t i = 0; i < kept; ++i) {
      SortFront(i + 1);
      share += WeightOf(order_[i]);
      if (share >= settings_.top_p * total) {
        kept = i + 1;
        total = share;
        break;
      }
    }
  }
  const double target = static_cast<double>(unit) * total;
  double passed = 0.0;
  for (size_t i = 0; i < kept; ++i) {
    SortFront(i + 1);
    passed += WeightOf(order_[i]);
    if (target < passed) {
      return order_[i];
    }
  }
  return order_[kept - 1];
}

}  // namespace wattle::engine
