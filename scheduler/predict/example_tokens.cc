// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/example_tokens.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace wattle::scheduler {
namespace {

absl::Status CheckQuantile(absl::string_view field, double quantile, absl::string_view wanted) {
  return std::isfinite(quantile) && quantile >= 0
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat(field, ": ", quantile, "; wanted ", wanted));
}

}  // namespace

double TokensBesideText(double messages, const TokenRates& rates) {
  if (messages <= 0 || rates.chat_template == nullptr) {
    return 1;
  }
  const v1::ChatTemplateTokens& written = *rates.chat_template;
  return std::max(0.0, written.per_conversation() + messages * written.per_message() +
                           (rates.is_prompt ? written.before_answer() : 0.0));
}

absl::StatusOr<std::vector<double>> TokenQuantiles(const v1::DatasetStatistics& data,
                                                   const TokenRates& rates) {
  const bool counts_messages =
      data.message_count_quantiles_size() == data.byte_length_quantiles_size();
  std::vector<double> tokens;
  double previous = 1;
  for (int i = 0; i < data.byte_length_quantiles_size(); ++i) {
    const double bytes = data.byte_length_quantiles(i);
    double messages = counts_messages ? data.message_count_quantiles(i) : 0.0;
    for (const absl::Status& status :
         {CheckQuantile("byte_length_quantiles", bytes, "lengths in bytes"),
          CheckQuantile("message_count_quantiles", messages, "counts")}) {
      if (!status.ok()) {
        return status;
      }
    }
    messages = rates.chat ? std::max(1.0, messages) : messages;
    previous =
        std::max(previous, bytes / rates.bytes_per_token + TokensBesideText(messages, rates));
    tokens.push_back(previous);
  }
  if (tokens.empty() && data.mean_byte_length() > 0) {
    tokens.push_back(data.mean_byte_length() / rates.bytes_per_token +
                     TokensBesideText(rates.chat ? 1 : 0, rates));
  }
  return tokens;
}

double MostTokens(const v1::DatasetStatistics& data, TokenRates rates) {
  rates.bytes_per_token = 1;
  const auto most = TokenQuantiles(data, rates);
  return !most.ok() || most->empty() ? 0 : most->back();
}

}  // namespace wattle::scheduler
