// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which prompts fill a model's context, counted as worker/engine/generate counts them: the tokens
// of the prompt, with the begin token that the tokenizer puts before a text; a prompt must leave
// room for one token more. Pure.
#ifndef WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNT_H_
#define WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "formats/byte_pair_encoding.h"
#include "formats/data_set.h"

namespace wattle::prompts {

// No tokenizer of formats/ makes more tokens of `text`, the begin token included. Needs no
// tokenizer: a token stands for at least one byte of what is encoded.
int64_t MostTokens(absl::string_view text);

struct LongPrompt {
  std::string id;  // As formats::Prompt.
  int64_t tokens = 0;
};

// The prompts whose tokens leave no room in a context of `context_length` tokens, in order. Text of
// at most text_bytes_max bytes is encoded, and nothing of prompts that MostTokens clears; what
// comes after that is not looked at.
std::vector<LongPrompt> FindLongPrompts(const std::vector<formats::Prompt>& prompts,
                                        const formats::BytePairEncoding& tokenizer,
                                        int64_t context_length, int64_t text_bytes_max);

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_PROMPT_COUNT_H_
