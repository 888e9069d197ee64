// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

#include "formats/jinja_lexer_internal.h"
#include "formats/json.h"

namespace wattle::formats::jinja {
namespace {

// Splits a template into tokens, including whitespace control (Jinja's lexer with trim_blocks and
// lstrip_blocks).
class Lexer {
 public:
  explicit Lexer(std::string text) : text_(std::move(text)) {}

  std::vector<Token> Run() {
    while (error_.empty() && position_ < text_.size()) {
      const size_t open = FindOpening();
      Text(text_.substr(position_, open - position_), open);
      if (open == text_.size()) {
        break;
      }
      position_ = open + 2;
      const char kind = text_[open + 1];
      if (position_ < text_.size() && (text_[position_] == '-' || text_[position_] == '+')) {
        ++position_;
      }
      if (kind == '#') {
        Comment();
      } else {
        Add(kind == '{' ? Token::Kind::kPrintBegin : Token::Kind::kBlockBegin, "");
        Inside(kind == '{' ? "}}" : "%}");
      }
    }
    Add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] int line() const { return line_; }

 private:
  void Add(Token::Kind kind, std::string text) {
    tokens_.push_back({.kind = kind, .text = std::move(text), .line = line_});
  }

  [[nodiscard]] size_t FindOpening() const {
    for (size_t i = position_; i + 1 < text_.size(); ++i) {
      if (text_[i] == '{' && (text_[i + 1] == '{' || text_[i + 1] == '%' || text_[i + 1] == '#')) {
        return i;
      }
    }
    return text_.size();
  }

  // The text before the tag that opens at `open`.
  void Text(std::string text, size_t open) {
    const std::string whole = text;
    if (open < text_.size()) {
      const char control = open + 2 < text_.size() ? text_[open + 2] : ' ';
      if (control == '-') {
        text = std::string(absl::StripTrailingAsciiWhitespace(text));
      } else if (control != '+' && text_[open + 1] != '{') {
        const size_t line_end = text.rfind('\n');
        const size_t start = line_end == std::string::npos ? 0 : line_end + 1;
        if ((line_end != std::string::npos || at_line_start_) &&
            absl::StripLeadingAsciiWhitespace(absl::string_view(text).substr(start)).empty()) {
          text.resize(start);
        }
      }
    }
    if (!text.empty()) {
      Add(Token::Kind::kText, text);
    }
    CountLines(whole);
  }

  void CountLines(absl::string_view text) {
    for (const char each : text) {
      line_ += each == '\n' ? 1 : 0;
    }
  }

  // After the end of a tag: removes the whitespace after it that the tag strips.
  void TakeBehind(bool strip, bool is_print) {
    const size_t begin = position_;
    if (strip) {
      while (position_ < text_.size() &&
             absl::ascii_isspace(static_cast<unsigned char>(text_[position_]))) {
        ++position_;
      }
    } else if (!is_print && position_ < text_.size() && text_[position_] == '\n') {
      ++position_;
    }
    at_line_start_ = position_ > begin && text_[position_ - 1] == '\n';
    CountLines(absl::string_view(text_).substr(begin, position_ - begin));
  }

  void Comment() {
    const size_t end = text_.find("#}", position_);
    if (end == std::string::npos) {
      error_ = "a comment {# without #}";
      return;
    }
    CountLines(absl::string_view(text_).substr(position_, end - position_));
    const bool strip = end > position_ && text_[end - 1] == '-';
    position_ = end + 2;
    TakeBehind(strip, /*is_print=*/false);
  }

  void Inside(absl::string_view closing) {
    while (position_ < text_.size()) {
      const absl::string_view rest = absl::string_view(text_).substr(position_);
      const char next = rest[0];
      const bool controlled =
          (next == '-' || next == '+') && absl::StartsWith(rest.substr(1), closing);
      // A brace that closes a dict before the tag ends does not end the tag.
      if (controlled || (braces_ == 0 && absl::StartsWith(rest, closing))) {
        Add(Token::Kind::kEnd, "");
        position_ += closing.size() + (controlled ? 1 : 0);
        TakeBehind(controlled && next == '-', closing == "}}" || (controlled && next == '+'));
        braces_ = 0;
        return;
      }
      if (absl::ascii_isspace(static_cast<unsigned char>(next))) {
        line_ += next == '\n' ? 1 : 0;
        ++position_;
      } else if (next == '\'' || next == '"') {
        String(next);
      } else if (absl::ascii_isdigit(static_cast<unsigned char>(next))) {
        Number();
      } else if (absl::ascii_isalpha(static_cast<unsigned char>(next)) || next == '_') {
        size_t end = 0;
        while (end < rest.size() &&
               (absl::ascii_isalnum(static_cast<unsigned char>(rest[end])) || rest[end] == '_')) {
          ++end;
        }
        Add(Token::Kind::kName, std::string(rest.substr(0, end)));
        position_ += end;
      } else {
        Operator(rest);
      }
      if (!error_.empty()) {
        return;
      }
    }
    error_ = absl::StrCat("the template ends before ", std::string(closing));
  }

  void Operator(absl::string_view rest) {
    for (const absl::string_view known :
         {"==", "!=", "<=", ">=", "//", "<", ">", "+", "-", "*", "/", "%",
          "~",  "|",  "(",  ")",  "[",  "]", "{", "}", ",", ":", ".", "="}) {
      if (absl::StartsWith(rest, known)) {
        braces_ += known == "{" ? 1 : known == "}" ? -1 : 0;
        Add(Token::Kind::kOperator, std::string(known));
        position_ += known.size();
        return;
      }
    }
    error_ = absl::StrCat("an unexpected character \"", Printable(rest.substr(0, 1)), "\"");
  }

  void Number() {
    const size_t begin = position_;
    bool whole = true;
    while (position_ < text_.size() &&
           (absl::ascii_isdigit(static_cast<unsigned char>(text_[position_])) ||
            (whole && text_[position_] == '.' && position_ + 1 < text_.size() &&
             absl::ascii_isdigit(static_cast<unsigned char>(text_[position_ + 1]))))) {
      whole = whole && text_[position_] != '.';
      ++position_;
    }
    const std::string digits = text_.substr(begin, position_ - begin);
    Add(Token::Kind::kNumber, digits);
    int64_t integer = 0;
    double real = 0.0;
    if (whole && absl::SimpleAtoi(digits, &integer)) {
      tokens_.back().number = integer;
    } else if (!whole && absl::SimpleAtod(digits, &real)) {
      tokens_.back().number = real;
    } else {
      error_ = absl::StrCat("a number that is too large: ", Printable(digits));
    }
  }

  void String(char quote) {
    std::string value;
    for (++position_; position_ < text_.size() && text_[position_] != quote; ++position_) {
      if (text_[position_] != '\\') {
        line_ += text_[position_] == '\n' ? 1 : 0;
        value += text_[position_];
        continue;
      }
      ++position_;
      switch (position_ < text_.size() ? text_[position_] : '\0') {
        case 'n':
          value += '\n';
          break;
        case 't':
          value += '\t';
          break;
        case 'r':
          value += '\r';
          break;
        case '\\':
        case '\'':
        case '"':
          value += text_[position_];
          break;
        default:
          error_ = "an escape in a string other than \\n, \\t, \\r, \\\\ and quotes";
          return;
      }
    }
    if (position_ == text_.size()) {
      error_ = "a string without its end";
      return;
    }
    ++position_;
    Add(Token::Kind::kString, std::move(value));
  }

  std::string text_;
  size_t position_ = 0;
  int line_ = 1;
  int braces_ = 0;
  bool at_line_start_ = true;
  std::vector<Token> tokens_;
  std::string error_;
};

}  // namespace

absl::StatusOr<std::vector<Token>> TokensOf(absl::string_view text, absl::string_view file) {
  std::string source = absl::StrReplaceAll(text, {{"\r\n", "\n"}, {"\r", "\n"}});
  if (absl::EndsWith(source, "\n")) {
    source.pop_back();
  }
  Lexer lexer(std::move(source));
  std::vector<Token> tokens = lexer.Run();
  if (!lexer.error().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", lexer.line(), ": ", lexer.error(), "; is this a Jinja template?"));
  }
  return tokens;
}

}  // namespace wattle::formats::jinja
