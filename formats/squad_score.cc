// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "formats/squad_score.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <pcre2.h>

#include "base/check.h"
#include "base/utf8.h"

namespace wattle::formats {
namespace {

// A pattern and the replacement for each match.
class Substitution {
 public:
  Substitution(const char* pattern, const char* replacement) : replacement_(replacement) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    WATTLE_CHECK(code_ != nullptr, "the pattern is a constant that compiles");
  }
  ~Substitution() { pcre2_code_free(code_); }
  Substitution(const Substitution&) = delete;
  Substitution& operator=(const Substitution&) = delete;

  // text: UTF-8.
  [[nodiscard]] std::string Apply(absl::string_view text) const {
    // Lower-casing adds at most one byte to each.
    std::string out(2 * text.size() + 16, '\0');
    PCRE2_SIZE size = out.size();
    const int result =
        pcre2_substitute(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                         PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_EXTENDED | PCRE2_NO_UTF_CHECK,
                         nullptr, nullptr, reinterpret_cast<PCRE2_SPTR>(replacement_),
                         PCRE2_ZERO_TERMINATED, reinterpret_cast<PCRE2_UCHAR*>(out.data()), &size);
    WATTLE_CHECK(result >= 0, "the replacement is a constant, and the output has room");
    out.resize(size);
    return out;
  }

 private:
  pcre2_code* code_ = nullptr;
  const char* replacement_;
};

std::string ValidUtf8(absl::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const size_t prefix = ValidUtf8Prefix(text);
    valid.append(text.data(), prefix);
    text.remove_prefix(std::min(text.size(), prefix + 1));  // and one invalid byte
  }
  return valid;
}

std::vector<std::string> Tokens(absl::string_view normalized) {
  return absl::StrSplit(normalized, ' ', absl::SkipEmpty());
}

double F1(absl::string_view wanted, absl::string_view given) {
  const std::vector<std::string> gold = Tokens(wanted);
  const std::vector<std::string> answer = Tokens(given);
  if (gold.empty() || answer.empty()) {
    return gold.empty() && answer.empty() ? 1.0 : 0.0;
  }
  absl::flat_hash_map<std::string, int> left;
  for (const std::string& token : gold) {
    ++left[token];
  }
  int common = 0;
  for (const std::string& token : answer) {
    const auto found = left.find(token);
    if (found != left.end() && found->second > 0) {
      --found->second;
      ++common;
    }
  }
  if (common == 0) {
    return 0.0;
  }
  const double precision = common / static_cast<double>(answer.size());
  const double recall = common / static_cast<double>(gold.size());
  return 2.0 * precision * recall / (precision + recall);
}

}  // namespace

std::string NormalizeSquadAnswer(absl::string_view answer) {
  static const Substitution lower("(?s).+", "\\L$0");
  static const Substitution articles("\\b(?:a|an|the)\\b", " ");
  static const Substitution spaces("\\s+", " ");
  std::string text = lower.Apply(ValidUtf8(answer));
  text.erase(
      std::remove_if(text.begin(), text.end(),
                     [](char c) { return absl::ascii_ispunct(static_cast<unsigned char>(c)); }),
      text.end());
  text = spaces.Apply(articles.Apply(text));
  return std::string(absl::StripAsciiWhitespace(text));
}

SquadScore ScoreSquadAnswer(const SquadQuestion& question, absl::string_view answer) {
  const std::string given = NormalizeSquadAnswer(answer);
  std::vector<std::string> wanted;
  for (const SquadAnswer& gold : question.answers) {
    std::string text = NormalizeSquadAnswer(gold.text);
    if (!text.empty()) {
      wanted.push_back(std::move(text));
    }
  }
  if (wanted.empty()) {
    wanted.emplace_back();
  }
  SquadScore best;
  for (const std::string& gold : wanted) {
    best.exact_match = std::max(best.exact_match, gold == given ? 1.0 : 0.0);
    best.f1 = std::max(best.f1, F1(gold, given));
  }
  return best;
}

std::string SquadAnswerOf(absl::string_view generated) {
  const absl::string_view trimmed = absl::StripLeadingAsciiWhitespace(generated);
  const std::string line(absl::StripAsciiWhitespace(trimmed.substr(0, trimmed.find('\n'))));
  return NormalizeSquadAnswer(line) == "unanswerable" ? "" : line;
}

}  // namespace wattle::formats
