// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How byte-level tokenizers cut text into pieces before they merge bytes: one or several rules,
// each of which cuts the pieces of the one before it. Private to formats. Thread-safe after
// construction.
#ifndef WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_
#define WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_

#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace wattle::formats {

enum class SplitRule {
  kGpt2,    // contractions, words, numbers, the rest; each with one space before it
  kLlama3,  // the same with numbers of at most three digits, and line ends by themselves
  kQwen2,   // as kLlama3 with single digits
  kDigits,  // each digit by itself
};

// The rule that a regular expression of a tokenizer.json states; nothing for any other expression:
// one from a file could take forever to match.
[[nodiscard]] std::optional<SplitRule> RuleOfPattern(absl::string_view pattern);

class PreTokenizer {
 public:
  explicit PreTokenizer(const std::vector<SplitRule>& rules = {SplitRule::kGpt2});
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;
  PreTokenizer(PreTokenizer&& other) noexcept;
  PreTokenizer& operator=(PreTokenizer&& other) noexcept;
  ~PreTokenizer();

  // Calls `take` with each piece, in order; together they are `text`. Bytes that are no UTF-8 are
  // pieces of their own.
  void Split(absl::string_view text, absl::FunctionRef<void(absl::string_view)> take) const;

 private:
  // text: UTF-8. Cuts it by the rules from `rule` on.
  void SplitValid(size_t rule, absl::string_view text,
                  absl::FunctionRef<void(absl::string_view)> take) const;

  std::vector<void*> expressions_;  // pcre2_code: its header stays in the one file that needs it
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_
