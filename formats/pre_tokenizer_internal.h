// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Splits text into pieces, as byte-level tokenizers do before they merge bytes. A tokenizer has one
// or several rules; each rule splits the pieces of the rule before it. Private to formats.
// Thread-safe after construction.
#ifndef WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_
#define WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace wattle::formats {

enum class SplitRule {
  kGpt2,    // contractions, words, numbers, the rest; each with one space before it
  kLlama3,  // kGpt2 with numbers of at most three digits, and line ends by themselves
  kQwen2,   // kLlama3 with single digits
  kDigits,  // each digit by itself
};

// The rule for a regular expression of a tokenizer.json; nullopt for an unknown expression. An
// expression from a file is never run, because it could backtrack forever.
[[nodiscard]] std::optional<SplitRule> RuleOfPattern(absl::string_view pattern);

// The inverse, for kLlama3 and kQwen2.
[[nodiscard]] std::string PatternOfRule(SplitRule rule);

class PreTokenizer {
 public:
  explicit PreTokenizer(const std::vector<SplitRule>& rules = {SplitRule::kGpt2});
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;
  PreTokenizer(PreTokenizer&& other) noexcept;
  PreTokenizer& operator=(PreTokenizer&& other) noexcept;
  ~PreTokenizer();

  // Calls `take` with each piece, in order. The pieces together are `text`. Each byte of invalid
  // UTF-8 is a piece.
  void Split(absl::string_view text, absl::FunctionRef<void(absl::string_view)> take) const;

 private:
  // Splits `text` (UTF-8) by the rules from index `rule` on.
  void SplitValid(size_t rule, absl::string_view text,
                  absl::FunctionRef<void(absl::string_view)> take) const;

  std::vector<void*>
      expressions_;  // pcre2_code*; void*, so that only pre_tokenizer.cc includes pcre2.h
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_
