// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which prompts fill a model's context, counted as worker/engine/generate counts them: the tokens
// of the prompt, with the begin token that the tokenizer puts before a text, or those of a
// conversation as the chat template writes it; a prompt must leave room for one token more. Pure.
#ifndef WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNT_H_
#define WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/byte_pair_encoding.h"
#include "formats/chat_template.h"
#include "formats/data_set.h"

namespace wattle::prompts {

// No tokenizer of formats/ makes more tokens of `text`, the begin token included. Needs no
// tokenizer: a token stands for at least one byte of what is encoded.
int64_t MostTokens(absl::string_view text);

struct LongPrompt {
  std::string id;  // As formats::Prompt.
  int64_t tokens = 0;
};

// Up to where FindLongPrompts looks; what comes after is not looked at.
struct CountLimits {
  int64_t text_bytes = 0;  // That the template writes and the tokenizer reads.
  // Asked before each prompt: false ends the search. A template may take long over every one.
  std::function<bool()> go_on = [] { return true; };
};

// The prompts whose tokens leave no room in a context of `context_length` tokens, in order. Texts
// that MostTokens clears are not encoded. chat_template: null where no prompt is a conversation.
// Errors: kInvalidArgument with the prompt's id for a conversation that the template refuses.
absl::StatusOr<std::vector<LongPrompt>> FindLongPrompts(const std::vector<formats::Prompt>& prompts,
                                                        const formats::BytePairEncoding& tokenizer,
                                                        const formats::ChatTemplate* chat_template,
                                                        int64_t context_length,
                                                        const CountLimits& limits);

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNT_H_
