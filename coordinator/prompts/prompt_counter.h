// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a model's tokenizer and chat template say of a question about prompts. Reads files of
// strangers, so only the coordinator's boxed child does this (counter_child.h). One thread.
#ifndef WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNTER_H_
#define WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNTER_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/byte_pair_encoding.h"
#include "formats/chat_template.h"
#include "wattle/v1/prompt_count.pb.h"

namespace wattle::prompts {

class PromptCounter {
 public:
  explicit PromptCounter(v1::PromptCountModel model) : model_(std::move(model)) {}

  // in_time: whether there is still somebody who waits for the answer.
  v1::PromptCountAnswer Answer(const v1::PromptCountQuestion& question,
                               const std::function<bool()>& in_time);

 private:
  v1::PromptCountAnswer OfText(const v1::PromptCountQuestion& question);
  v1::PromptCountAnswer OfConversations(const v1::PromptCountQuestion& question,
                                        const v1::PromptCountConversations& data,
                                        const std::function<bool()>& in_time);
  v1::PromptCountAnswer OfPrompts(const v1::PromptCountQuestion& question,
                                  const std::function<bool()>& in_time);
  // Nothing where the model has no such file.
  [[nodiscard]] absl::StatusOr<std::optional<std::string>> ReadIfThere(
      absl::string_view name) const;
  absl::StatusOr<const formats::BytePairEncoding*> Tokenizer();
  [[nodiscard]] absl::StatusOr<formats::ChatTemplate> ChatTemplate() const;

  v1::PromptCountModel model_;
  std::optional<formats::BytePairEncoding> tokenizer_;  // once a question wanted it
};

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNTER_H_
