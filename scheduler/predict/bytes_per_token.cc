// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Looks up bytes per token in measured rows, and determines them from a finished attempt.
#include <cmath>
#include <vector>

#include "scheduler/predict/example_tokens.h"
#include "scheduler/predict/padding.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

// English text in byte-level BPE. A large vocabulary has whole words: GPT-2's 50,257 tokens hold
// 4.3 bytes each of WikiText-2, 4.8 to 4.9 of SQuAD's paragraphs, but 3.3 of Shakespeare's verse.
constexpr double kBytesPerTokenDefault = 4.0;
constexpr double kBytesPerTokenLargeVocabulary = 4.5;
constexpr int64_t kLargeVocabularyMin = 30000;
// A byte-level token has at least one byte. English words seldom reach the maximum.
constexpr double kBytesPerTokenMin = 1.0;
constexpr double kBytesPerTokenMax = 16.0;
constexpr int kBisections = 40;

// Mean tokens of an example, including those besides its text, cut at `limit`; 0: unknown.
double MeanTokens(const v1::DatasetStatistics& data, const TokenRates& rates, double limit) {
  const auto quantiles = TokenQuantiles(data, rates);
  return quantiles.ok() && !quantiles->empty() ? ExpectedMaximum(*quantiles, 1, limit) : 0;
}

}  // namespace

double BytesPerToken(const ProfileTable& table, const v1::ModelShape& model) {
  double same_model = 0;
  double same_model_weight = 0;
  double same_vocabulary = 0;
  double same_vocabulary_weight = 0;
  v1::WorkloadSignature of_model;
  *of_model.mutable_model() = model;
  for (const auto& [device_class, rows] : table.by_class()) {
    for (const auto& [key, row] : rows) {
      const v1::ModelShape& measured = row.signature().model();
      if (row.bytes_per_token() <= 0 || measured.vocabulary_size() != model.vocabulary_size()) {
        continue;
      }
      const auto weight = static_cast<double>(row.seconds_per_unit().count());
      same_vocabulary += weight * row.bytes_per_token();
      same_vocabulary_weight += weight;
      if (SameIn(SignaturePart::kModel, row.signature(), of_model)) {
        same_model += weight * row.bytes_per_token();
        same_model_weight += weight;
      }
    }
  }
  if (same_model_weight > 0) {
    return same_model / same_model_weight;
  }
  if (same_vocabulary_weight > 0) {
    return same_vocabulary / same_vocabulary_weight;
  }
  return model.vocabulary_size() >= kLargeVocabularyMin ? kBytesPerTokenLargeVocabulary
                                                        : kBytesPerTokenDefault;
}

double BytesPerTokenOf(const v1::WorkDone& work, const v1::DatasetStatistics& data,
                       const v1::ChatTemplateTokens* chat_template) {
  const auto mean_at = [&](double bytes_per_token, double limit) {
    return MeanTokens(data, {.bytes_per_token = bytes_per_token, .chat_template = chat_template},
                      limit);
  };
  const double limit = work.signature().sequence_length() > 0
                           ? work.signature().sequence_length()
                           : work.signature().model().context_length();
  if (work.examples() < 1 || work.real_tokens() < 1 || limit < 1 ||
      data.byte_length_quantiles_size() < 2) {
    return 0;
  }
  const double mean =
      static_cast<double>(work.real_tokens()) / static_cast<double>(work.examples());
  double low = kBytesPerTokenMin;
  double high = kBytesPerTokenMax;
  // More bytes in a token mean fewer tokens, so bisection finds the value. If nearly all examples
  // were cut, every value gives the same mean.
  if (!(mean < 0.98 * limit) || mean_at(low, limit) < mean || mean_at(high, limit) > mean) {
    return 0;
  }
  for (int i = 0; i < kBisections; ++i) {
    const double middle = (low + high) / 2;
    (mean_at(middle, limit) > mean ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace wattle::scheduler
