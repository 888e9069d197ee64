// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Parses the expressions of a Jinja template from its tokens. The first failure is the result and
// ends parsing. Private to formats.
#ifndef WATTLE_FORMATS_JINJA_EXPRESSIONS_INTERNAL_H_
#define WATTLE_FORMATS_JINJA_EXPRESSIONS_INTERNAL_H_

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "formats/jinja_lexer_internal.h"
#include "formats/jinja_syntax_internal.h"
#include "formats/json.h"

namespace wattle::formats::jinja {

inline constexpr int kDepthMax = 100;  // nesting of blocks and of expressions

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, absl::string_view file)
      : tokens_(std::move(tokens)), file_(file) {}

 protected:
  // The next token. Is…: whether it is the given one; Take…: consumes it if it is the given one;
  // Want…: fails if it is another.
  [[nodiscard]] const Token& Now() const { return tokens_[std::min(at_, tokens_.size() - 1)]; }
  [[nodiscard]] bool ok() const { return status_.ok(); }
  [[nodiscard]] bool Is(Token::Kind kind, absl::string_view text) const {
    return Now().kind == kind && Now().text == text;
  }
  [[nodiscard]] bool IsOperator(absl::string_view text) const {
    return Is(Token::Kind::kOperator, text);
  }
  [[nodiscard]] bool IsName(absl::string_view text) const { return Is(Token::Kind::kName, text); }
  bool Take(Token::Kind kind, absl::string_view text) {
    const bool is = Is(kind, text);
    at_ += is ? 1 : 0;
    return is;
  }
  bool TakeOperator(absl::string_view text) { return Take(Token::Kind::kOperator, text); }
  bool TakeName(absl::string_view text) { return Take(Token::Kind::kName, text); }
  // Keeps the first failure, with its line.
  void Fail(absl::string_view what) {
    if (ok()) {
      status_ = absl::InvalidArgumentError(absl::StrCat(file_, ":", Now().line, ": ", what));
    }
  }
  void Want(absl::string_view text) {
    if (!TakeOperator(text)) {
      Fail(absl::StrCat("wants \"", text, "\", found \"", Printable(Now().text), "\""));
    }
  }
  void WantEnd() {
    if (Now().kind != Token::Kind::kEnd) {
      Fail(absl::StrCat("wants the end of the tag, found \"", Printable(Now().text), "\""));
      return;
    }
    ++at_;
    made_ = 0;
  }
  std::string WantName() {
    if (Now().kind != Token::Kind::kName) {
      Fail(absl::StrCat("wants a name, found \"", Printable(Now().text), "\""));
      return "";
    }
    return tokens_[at_++].text;
  }
  // Counts the depth while it lives.
  struct Deeper {
    explicit Deeper(ExpressionParser& of) : parser(of) {
      if (++parser.depth_ > kDepthMax) {
        parser.Fail("is nested too deeply");
      }
    }
    ~Deeper() { --parser.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    ExpressionParser& parser;
  };

  // Two values without brackets are a list, as on the right of {% set a, b = … %}.
  Expression ParseTuple();
  Expression ParseExpression();
  // An expression without the conditional "a if b else c".
  Expression ParseOr();

  std::vector<Token> tokens_;
  std::string file_;
  size_t at_ = 0;
  int depth_ = 0;
  int made_ = 0;  // expressions parsed in this tag
  absl::Status status_;

 private:
  Expression Make(Expression::Kind kind, std::vector<Expression> parts, std::string name = "");
  // By precedence, lowest first.
  template <typename Next>
  Expression ParseBinary(std::initializer_list<absl::string_view> operators, Next next);
  Expression ParseAnd();
  Expression ParseNot();
  Expression ParseCompare();
  Expression ParseSum();
  Expression ParseConcatenation();
  Expression ParseProduct();
  Expression ParseUnary(bool with_filters = true);
  Expression ParsePrimary();
  Expression ParsePostfix(Expression value);
  Expression ParseItem(std::vector<Expression> parts);
  std::vector<Argument> ParseArguments();
  Expression ParseFilter(Expression value);
  Expression ParseTest(Expression value);
};

}  // namespace wattle::formats::jinja

#endif  // WATTLE_FORMATS_JINJA_EXPRESSIONS_INTERNAL_H_
