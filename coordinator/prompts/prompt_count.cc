// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/prompt_count.h"

#include <algorithm>

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

std::vector<LongPrompt> FindLongPrompts(const std::vector<formats::Prompt>& prompts,
                                        const formats::BytePairEncoding& tokenizer,
                                        int64_t context_length, int64_t text_bytes_max) {
  std::vector<LongPrompt> found;
  int64_t encoded_bytes = 0;
  for (const formats::Prompt& prompt : prompts) {
    if (MostTokens(prompt.text) < context_length) {
      continue;
    }
    encoded_bytes += static_cast<int64_t>(prompt.text.size());
    if (encoded_bytes > text_bytes_max) {
      break;
    }
    const auto tokens = static_cast<int64_t>(tokenizer.EncodeDocument(prompt.text).size());
    if (tokens >= context_length) {
      found.push_back({prompt.id, tokens});
    }
  }
  return found;
}

}  // namespace wattle::prompts
