// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/job_examples.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "scheduler/predict/padding.h"

namespace wattle::scheduler {

absl::StatusOr<Examples> ExamplesOf(absl::string_view field, const v1::ArtifactInfo* data,
                                    const TokenRates& rates) {
  if (data == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": names no known artifact; push the data set, or declare data_shape for a plan"));
  }
  const v1::DatasetStatistics& statistics = data->dataset();
  if (statistics.examples() < 1) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": artifact ", data->artifact_id(),
                                                   " holds no examples; push a data set"));
  }
  Examples examples{.count = static_cast<double>(statistics.examples())};
  if (statistics.contexts() > 0 && statistics.contexts() <= statistics.examples()) {
    examples.context_tokens = statistics.mean_context_byte_length() / rates.bytes_per_token;
    examples.shared_with_next = 1.0 - static_cast<double>(statistics.contexts()) / examples.count;
  }
  auto quantiles = TokenQuantiles(statistics, rates);
  if (!quantiles.ok()) {
    return WithContext(field, quantiles.status());
  }
  examples.token_quantiles = *std::move(quantiles);
  return examples;
}

absl::StatusOr<Examples> ExamplesOf(absl::string_view field, Declared declared,
                                    const v1::ArtifactInfo* data, const TokenRates& rates) {
  if (!declared.present) {
    return ExamplesOf(field, data, rates);
  }
  Examples examples{.count = static_cast<double>(declared.shape.examples())};
  if (declared.shape.mean_tokens_per_example() > 0) {
    examples.token_quantiles.push_back(declared.shape.mean_tokens_per_example());
  }
  return examples;
}

double PaddedTokens(const Examples& examples, double batch, double limit) {
  return ExpectedMaximum(examples.token_quantiles, std::min(batch, examples.count), limit);
}

double MeanTokens(const Examples& examples, double limit) {
  return PaddedTokens(examples, 1, limit);
}

double PackedTokens(const v1::FinetuneSpec& spec, const Examples& examples, double batch,
                    double limit) {
  const double mean = MeanTokens(examples, limit);
  if (spec.loss_on() == v1::LOSS_ON_ALL) {
    return mean;
  }
  const double pairs = (batch - 1.0) / batch * (1.0 - ShareAbove(examples.token_quantiles, limit));
  return std::max(1.0, mean - pairs * examples.shared_with_next * examples.context_tokens);
}

}  // namespace wattle::scheduler
