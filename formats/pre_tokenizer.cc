// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include <pcre2.h>

#include "base/check.h"
#include "base/utf8.h"
#include "formats/pre_tokenizer_internal.h"

namespace wattle::formats {
namespace {

// \s is spelled out as Unicode's White_Space: PCRE2's own \s also takes U+180E.
#define WATTLE_WHITE_SPACE                                                                      \
  "\\x{09}-\\x{0d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}" \
  "\\x{205f}\\x{3000}"
#define WATTLE_SPACES_AT_END "[" WATTLE_WHITE_SPACE "]+(?![^" WATTLE_WHITE_SPACE "])"

// openai/gpt-2, src/encoder.py.
constexpr char kGpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WATTLE_WHITE_SPACE
                         "\\p{L}\\p{N}]+|" WATTLE_SPACES_AT_END "|[" WATTLE_WHITE_SPACE "]+";
// openai/tiktoken's cl100k_base, in the variant of Llama 3 and Qwen 2.
#define WATTLE_CL100K(numbers)                                                                     \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "| ?[^" WATTLE_WHITE_SPACE \
  "\\p{L}\\p{N}]+[\\r\\n]*|[" WATTLE_WHITE_SPACE "]*[\\r\\n]+|" WATTLE_SPACES_AT_END               \
  "|[" WATTLE_WHITE_SPACE "]+"
constexpr char kLlama3[] = WATTLE_CL100K("\\p{N}{1,3}");
constexpr char kQwen2[] = WATTLE_CL100K("\\p{N}");
constexpr char kDigits[] = "\\p{N}|[^\\p{N}]+";

// The two expressions of a tokenizer.json, before and after the part for numbers.
constexpr char kStatedBefore[] = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
constexpr char kThreeDigits[] = "\\p{N}{1,3}";
constexpr char kOneDigit[] = "\\p{N}";
constexpr char kStatedBehind[] = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

absl::string_view PatternOf(SplitRule rule) {
  switch (rule) {
    case SplitRule::kGpt2:
      return kGpt2;
    case SplitRule::kLlama3:
      return kLlama3;
    case SplitRule::kQwen2:
      return kQwen2;
    case SplitRule::kDigits:
      return kDigits;
  }
  return kGpt2;
}

pcre2_code* Compile(absl::string_view pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  WATTLE_CHECK(code != nullptr, "the pattern is a constant that compiles");
  // The JIT is faster where PCRE2 supports the processor; the interpreter gives the same pieces.
  (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return code;
}

}  // namespace

std::optional<SplitRule> RuleOfPattern(absl::string_view pattern) {
  if (!absl::ConsumePrefix(&pattern, kStatedBefore) ||
      !absl::ConsumeSuffix(&pattern, kStatedBehind)) {
    return std::nullopt;
  }
  if (pattern == kThreeDigits) {
    return SplitRule::kLlama3;
  }
  return pattern == kOneDigit ? std::optional<SplitRule>(SplitRule::kQwen2) : std::nullopt;
}

std::string PatternOfRule(SplitRule rule) {
  return absl::StrCat(kStatedBefore, rule == SplitRule::kLlama3 ? kThreeDigits : kOneDigit,
                      kStatedBehind);
}

PreTokenizer::PreTokenizer(const std::vector<SplitRule>& rules) {
  for (const SplitRule rule : rules) {
    expressions_.push_back(Compile(PatternOf(rule)));
  }
}

PreTokenizer::PreTokenizer(PreTokenizer&& other) noexcept
    : expressions_(std::exchange(other.expressions_, {})) {}

PreTokenizer& PreTokenizer::operator=(PreTokenizer&& other) noexcept {
  std::swap(expressions_, other.expressions_);
  return *this;
}

PreTokenizer::~PreTokenizer() {
  for (void* expression : expressions_) {
    pcre2_code_free(static_cast<pcre2_code*>(expression));
  }
}

void PreTokenizer::SplitValid(size_t rule, absl::string_view text,
                              absl::FunctionRef<void(absl::string_view)> take) const {
  if (rule == expressions_.size()) {
    if (!text.empty()) {
      take(text);
    }
    return;
  }
  const auto* code = static_cast<const pcre2_code*>(expressions_[rule]);
  pcre2_match_data* match = pcre2_match_data_create_from_pattern(code, nullptr);
  WATTLE_CHECK(match != nullptr, "memory for one match");
  size_t position = 0;
  while (position < text.size()) {
    const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                   position, PCRE2_NO_UTF_CHECK, match, nullptr);
    WATTLE_CHECK(result > 0,
                 "every character begins a match, and no alternative backtracks deeply");
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match);
    WATTLE_CHECK(bounds[0] == position && bounds[1] > position, "the pieces cover the text");
    const size_t end = bounds[1];
    SplitValid(rule + 1, text.substr(position, end - position), take);
    position = end;
  }
  pcre2_match_data_free(match);
}

void PreTokenizer::Split(absl::string_view text,
                         absl::FunctionRef<void(absl::string_view)> take) const {
  while (!text.empty()) {
    const size_t valid = ValidUtf8Prefix(text);
    SplitValid(0, text.substr(0, valid), take);
    text.remove_prefix(valid);
    size_t invalid = 0;
    while (invalid < text.size() && Utf8CharacterSize(text.substr(invalid)) == 0) {
      ++invalid;
    }
    if (invalid > 0) {
      take(text.substr(0, invalid));
      text.remove_prefix(invalid);
    }
  }
}

}  // namespace wattle::formats
