// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tokens of a data set's examples, from the statistics of its bytes. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_EXAMPLE_TOKENS_H_
#define WATTLE_SCHEDULER_PREDICT_EXAMPLE_TOKENS_H_

#include <vector>

#include "absl/status/statusor.h"

#include "wattle/v1/artifact.pb.h"

namespace wattle::scheduler {

// How the text of an example becomes tokens.
struct TokenRates {
  double bytes_per_token = 1;
  const v1::ChatTemplateTokens* chat_template = nullptr;  // The model's; null: none, or unknown.
  bool is_prompt = false;  // The conversations end where the assistant begins to answer.
  bool chat = false;       // A plain-text prompt becomes a conversation of one message.
};

// The tokens of an example besides those of its text: the template's tokens around `messages`
// messages. An example without a template (0 messages) has only its end token.
double TokensBesideText(double messages, const TokenRates& rates);

// The tokens of an example, at least one, at each quantile of the data set; they do not fall. The
// examples with the most bytes count as those with the most messages. One number if only the mean
// length is known; none if no length is known. Errors: kInvalidArgument for a quantile that is no
// length or no count.
absl::StatusOr<std::vector<double>> TokenQuantiles(const v1::DatasetStatistics& data,
                                                   const TokenRates& rates);

// No example of the data set has more tokens, because a token has at least one byte of text; the
// rates' own bytes_per_token does not count. 0: no length is known.
double MostTokens(const v1::DatasetStatistics& data, TokenRates rates);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_EXAMPLE_TOKENS_H_
