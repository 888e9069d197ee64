// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/prompt_count.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/chat_examples.h"

namespace wattle::prompts {
namespace {

// UAX #15, section "Stability of normalized forms": normalization form C takes at most three times
// the bytes in UTF-8. ASCII stays as it is.
constexpr int64_t kGrowthOfNormalization = 3;
// The begin token, and the space that some tokenizers put before a text.
constexpr int64_t kTokensBeforeText = 2;

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

int64_t MostTokens(absl::string_view text) {
  const auto bytes = static_cast<int64_t>(text.size());
  return (IsAscii(text) ? bytes : kGrowthOfNormalization * bytes) + kTokensBeforeText;
}

absl::StatusOr<std::vector<LongPrompt>> FindLongPrompts(const std::vector<formats::Prompt>& prompts,
                                                        const formats::BytePairEncoding& tokenizer,
                                                        const formats::ChatTemplate* chat_template,
                                                        int64_t context_length,
                                                        const CountLimits& limits) {
  std::vector<LongPrompt> found;
  int64_t bytes = 0;  // Written by the template, or to be encoded.
  for (const formats::Prompt& prompt : prompts) {
    if (!limits.go_on()) {
      break;
    }
    const bool is_conversation = !prompt.messages.empty();
    absl::StatusOr<std::string> text =
        is_conversation ? formats::WriteChatPrompt(prompt.messages, *chat_template, tokenizer)
                        : prompt.text;
    if (!text.ok()) {
      return WithContext(absl::StrCat("prompt ", prompt.id), text.status());
    }
    const bool is_short = MostTokens(*text) < context_length;
    if (is_short && !is_conversation) {
      continue;
    }
    bytes += static_cast<int64_t>(text->size());
    if (bytes > limits.text_bytes) {
      break;
    }
    if (is_short) {
      continue;
    }
    const std::vector<int64_t> tokens =
        is_conversation ? tokenizer.Encode(*text, formats::SpecialTokens::kRecognise)
                        : tokenizer.EncodeDocument(*text);
    if (const auto count = static_cast<int64_t>(tokens.size()); count >= context_length) {
      found.push_back({prompt.id, count});
    }
  }
  return found;
}

}  // namespace wattle::prompts
