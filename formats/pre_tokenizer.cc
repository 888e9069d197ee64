// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include <cstddef>

#include <pcre2.h>

#include "base/check.h"
#include "formats/pre_tokenizer_internal.h"
#include "formats/utf8_internal.h"

namespace wattle::formats {
namespace {

// openai/gpt-2, src/encoder.py. \s is spelled out as Unicode's White_Space: PCRE2's own \s also
// takes U+180E.
#define WATTLE_WHITE_SPACE                                                                      \
  "\\x{09}-\\x{0d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}" \
  "\\x{205f}\\x{3000}"
constexpr char kPattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WATTLE_WHITE_SPACE
                            "\\p{L}\\p{N}]+|[" WATTLE_WHITE_SPACE "]+(?![^" WATTLE_WHITE_SPACE
                            "])|[" WATTLE_WHITE_SPACE "]+";

pcre2_code* Compile() {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern), sizeof(kPattern) - 1,
                                   PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  WATTLE_CHECK(code != nullptr, "the pattern is a constant that compiles");
  // Faster where this PCRE2 has a compiler for the processor; without one the interpreter gives the
  // same pieces.
  (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return code;
}

}  // namespace

PreTokenizer::PreTokenizer() : expression_(Compile()) {}

PreTokenizer::~PreTokenizer() {
  pcre2_code_free(static_cast<pcre2_code*>(expression_));
}

void PreTokenizer::SplitValid(absl::string_view text,
                              absl::FunctionRef<void(absl::string_view)> take) const {
  const auto* code = static_cast<const pcre2_code*>(expression_);
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
    take(text.substr(position, bounds[1] - position));
    position = bounds[1];
  }
  pcre2_match_data_free(match);
}

void PreTokenizer::Split(absl::string_view text,
                         absl::FunctionRef<void(absl::string_view)> take) const {
  while (!text.empty()) {
    const size_t valid = ValidUtf8Prefix(text);
    SplitValid(text.substr(0, valid), take);
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
