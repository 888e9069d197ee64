// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <initializer_list>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/jinja_lexer_internal.h"
#include "formats/jinja_syntax_internal.h"
#include "formats/json.h"

namespace wattle::formats::jinja {
namespace {

constexpr int kDepthMax = 100;  // of blocks and of expressions, one inside the other
constexpr int kPartsMax = 200;  // of the expressions in one tag: a chain of them is as deep

using Kind = Expression::Kind;

class Parser {
 public:
  Parser(std::vector<Token> tokens, absl::string_view file)
      : tokens_(std::move(tokens)), file_(file) {}

  absl::StatusOr<ParsedTemplate> Run() {
    ParsedTemplate parsed;
    parsed.body = ParseBlock({});
    parsed.marks_generation = marks_generation_;
    if (!status_.ok()) {
      return status_;
    }
    return parsed;
  }

 private:
  // ---- tokens
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
    explicit Deeper(Parser& of) : parser(of) {
      if (++parser.depth_ > kDepthMax) {
        parser.Fail("is nested too deeply");
      }
    }
    ~Deeper() { --parser.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    Parser& parser;
  };

  // ---- statements
  // Statements up to a block statement whose name is one of `ends`, which stays the next token
  // behind kBlockBegin; without ends, up to the end of the template.
  Block ParseBlock(const std::vector<absl::string_view>& ends) {
    const Deeper deeper(*this);
    Block block;
    while (ok()) {
      const Token& token = Now();
      switch (token.kind) {
        case Token::Kind::kText:
          block.statements.push_back(
              {.kind = Statement::Kind::kText, .line = token.line, .text = token.text});
          ++at_;
          break;
        case Token::Kind::kPrintBegin: {
          ++at_;
          Statement print{.kind = Statement::Kind::kPrint, .line = token.line};
          print.value = ParseExpression();
          WantEnd();
          block.statements.push_back(std::move(print));
          break;
        }
        case Token::Kind::kBlockBegin: {
          ++at_;
          for (const absl::string_view end : ends) {
            if (IsName(end)) {
              return block;
            }
          }
          block.statements.push_back(ParseStatement());
          break;
        }
        default:
          if (at_ + 1 < tokens_.size() || !ends.empty()) {
            Fail(ends.empty() ? "wants a statement"
                              : absl::StrCat("the template ends before {% ", ends.back(), " %}"));
          }
          return block;
      }
    }
    return block;
  }

  Statement ParseStatement() {
    Statement statement{.line = Now().line};
    const std::string name = WantName();
    if (name == "if") {
      ParseIf(statement);
    } else if (name == "for") {
      ParseFor(statement);
    } else if (name == "set") {
      ParseSet(statement);
    } else if (name == "macro") {
      ParseMacro(statement);
    } else if (name == "generation") {
      statement.kind = Statement::Kind::kGeneration;
      marks_generation_ = true;
      WantEnd();
      statement.body = ParseBlock({"endgeneration"});
      CloseBlock("endgeneration");
    } else if (name == "break" || name == "continue") {
      statement.kind = name == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue;
      WantEnd();
    } else if (ok()) {
      --at_;
      status_ = absl::UnimplementedError(
          absl::StrCat(file_, ":", Now().line, ": {% ", Printable(name),
                       " %}: not supported in this version; chat templates have if, for, set, "
                       "macro, generation, break and continue"));
    }
    return statement;
  }

  void CloseBlock(absl::string_view name) {
    if (!TakeName(name)) {
      Fail(absl::StrCat("wants {% ", name, " %}"));
    }
    WantEnd();
  }

  void ParseIf(Statement& statement) {
    const Deeper deeper(*this);
    statement.kind = Statement::Kind::kIf;
    statement.has_value = true;
    statement.value = ParseExpression();
    WantEnd();
    statement.body = ParseBlock({"elif", "else", "endif"});
    if (!ok()) {
      return;
    }
    if (TakeName("elif")) {
      Statement other{.line = Now().line};
      ParseIf(other);
      statement.otherwise.statements.push_back(std::move(other));
      return;
    }
    if (TakeName("else")) {
      WantEnd();
      statement.otherwise = ParseBlock({"endif"});
    }
    CloseBlock("endif");
  }

  void ParseFor(Statement& statement) {
    statement.kind = Statement::Kind::kFor;
    do {
      statement.targets.push_back(WantName());
    } while (ok() && TakeOperator(","));
    if (!TakeName("in")) {
      Fail("wants \"in\"");
    }
    statement.value = ParseOr();
    if (TakeName("if")) {
      statement.has_condition = true;
      statement.condition = ParseExpression();
    }
    WantEnd();
    statement.body = ParseBlock({"else", "endfor"});
    if (ok() && TakeName("else")) {
      WantEnd();
      statement.otherwise = ParseBlock({"endfor"});
    }
    CloseBlock("endfor");
  }

  void ParseSet(Statement& statement) {
    statement.kind = Statement::Kind::kSet;
    do {
      std::string target = WantName();
      if (TakeOperator(".")) {
        absl::StrAppend(&target, ".", WantName());
      }
      statement.targets.push_back(std::move(target));
    } while (ok() && TakeOperator(","));
    if (TakeOperator("=")) {
      statement.has_value = true;
      statement.value = ParseTuple();
      WantEnd();
      return;
    }
    WantEnd();
    statement.body = ParseBlock({"endset"});
    CloseBlock("endset");
  }

  void ParseMacro(Statement& statement) {
    statement.kind = Statement::Kind::kMacro;
    statement.text = WantName();
    Want("(");
    while (ok() && !IsOperator(")")) {
      statement.targets.push_back(WantName());
      if (TakeOperator("=")) {
        statement.defaults.push_back(ParseExpression());
      } else if (!statement.defaults.empty()) {
        Fail("a parameter without default behind one with a default");
      }
      if (!TakeOperator(",")) {
        break;
      }
    }
    Want(")");
    WantEnd();
    statement.body = ParseBlock({"endmacro"});
    CloseBlock("endmacro");
  }

  // ---- expressions, from the loosest to the tightest
  Expression Make(Kind kind, std::vector<Expression> parts, std::string name = "") {
    if (++made_ > kPartsMax) {
      Fail("has too many parts");
    }
    return {.kind = kind, .line = Now().line, .name = std::move(name), .parts = std::move(parts)};
  }
  // Two values without brackets are a list, as on the right of {% set a, b = … %}.
  Expression ParseTuple() {
    Expression first = ParseExpression();
    if (!IsOperator(",")) {
      return first;
    }
    Expression list = Make(Kind::kList, {});
    list.parts.push_back(std::move(first));
    while (ok() && TakeOperator(",")) {
      list.parts.push_back(ParseExpression());
    }
    return list;
  }

  Expression ParseExpression() {
    const Deeper deeper(*this);
    Expression value = ParseOr();
    while (ok() && TakeName("if")) {
      std::vector<Expression> parts;
      parts.push_back(std::move(value));
      parts.push_back(ParseOr());
      if (TakeName("else")) {
        parts.push_back(ParseExpression());
      }
      value = Make(Kind::kChoice, std::move(parts));
    }
    return value;
  }

  template <typename Next>
  Expression ParseBinary(std::initializer_list<absl::string_view> operators, Next next) {
    Expression left = next();
    bool found = true;
    while (ok() && found) {
      found = false;
      for (const absl::string_view each : operators) {
        if (absl::ascii_isalpha(static_cast<unsigned char>(each[0])) ? TakeName(each)
                                                                     : TakeOperator(each)) {
          std::vector<Expression> parts;
          parts.push_back(std::move(left));
          parts.push_back(next());
          left = Make(Kind::kBinary, std::move(parts), std::string(each));
          found = true;
          break;
        }
      }
    }
    return left;
  }

  Expression ParseOr() {
    return ParseBinary({"or"}, [this] { return ParseAnd(); });
  }
  Expression ParseAnd() {
    return ParseBinary({"and"}, [this] { return ParseNot(); });
  }
  Expression ParseNot() {
    const Deeper deeper(*this);
    if (ok() && TakeName("not")) {
      std::vector<Expression> parts;
      parts.push_back(ParseNot());
      return Make(Kind::kNot, std::move(parts));
    }
    return ParseCompare();
  }
  Expression ParseCompare() {
    Expression left = ParseSum();
    while (ok()) {
      std::string name;
      for (const absl::string_view each : {"==", "!=", "<=", ">=", "<", ">"}) {
        if (name.empty() && TakeOperator(each)) {
          name = std::string(each);
        }
      }
      if (name.empty() && TakeName("in")) {
        name = "in";
      } else if (name.empty() && IsName("not") && at_ + 1 < tokens_.size() &&
                 tokens_[at_ + 1].kind == Token::Kind::kName && tokens_[at_ + 1].text == "in") {
        at_ += 2;
        name = "not in";
      }
      if (name.empty()) {
        break;
      }
      std::vector<Expression> parts;
      parts.push_back(std::move(left));
      parts.push_back(ParseSum());
      left = Make(Kind::kBinary, std::move(parts), name);
    }
    return left;
  }
  Expression ParseSum() {
    return ParseBinary({"+", "-"}, [this] { return ParseConcatenation(); });
  }
  Expression ParseConcatenation() {
    return ParseBinary({"~"}, [this] { return ParseProduct(); });
  }
  Expression ParseProduct() {
    return ParseBinary({"*", "//", "/", "%"}, [this] { return ParseUnary(); });
  }
  Expression ParseUnary(bool with_filters = true) {
    const Deeper deeper(*this);
    Expression value;
    if (ok() && TakeOperator("-")) {
      std::vector<Expression> parts;
      parts.push_back(ParseUnary(/*with_filters=*/false));
      value = Make(Kind::kNegative, std::move(parts));
    } else {
      value = ParsePostfix(ParsePrimary());
    }
    while (with_filters && ok()) {
      if (TakeOperator("|")) {
        value = ParseFilter(std::move(value));
      } else if (TakeName("is")) {
        value = ParseTest(std::move(value));
      } else {
        break;
      }
    }
    return value;
  }

  Expression ParsePrimary() {
    if (!ok()) {
      return {};  // also the end of a descent that is too deep
    }
    const Token token = Now();
    Expression value{.line = token.line};
    ++at_;
    if (token.kind == Token::Kind::kName) {
      if (token.text == "true" || token.text == "True") {
        value.literal = true;
      } else if (token.text == "false" || token.text == "False") {
        value.literal = false;
      } else if (token.text != "none" && token.text != "None") {
        value.kind = Kind::kName;
        value.name = token.text;
      }
    } else if (token.kind == Token::Kind::kNumber) {
      value.literal = token.number;
    } else if (token.kind == Token::Kind::kString) {
      std::string text = token.text;
      while (Now().kind == Token::Kind::kString) {  // neighbours are one string
        text += tokens_[at_++].text;
      }
      value.literal = text;
    } else if (token.kind == Token::Kind::kOperator && token.text == "(") {
      value = ParseTuple();
      Want(")");
    } else if (token.kind == Token::Kind::kOperator && token.text == "[") {
      value.kind = Kind::kList;
      while (ok() && !IsOperator("]")) {
        value.parts.push_back(ParseExpression());
        if (!TakeOperator(",")) {
          break;
        }
      }
      Want("]");
    } else if (token.kind == Token::Kind::kOperator && token.text == "{") {
      value.kind = Kind::kDict;
      while (ok() && !IsOperator("}")) {
        value.parts.push_back(ParseExpression());
        Want(":");
        value.parts.push_back(ParseExpression());
        if (!TakeOperator(",")) {
          break;
        }
      }
      Want("}");
    } else {
      --at_;
      Fail(absl::StrCat("wants a value, found \"", Printable(token.text), "\""));
    }
    return value;
  }

  Expression ParsePostfix(Expression value) {
    while (ok()) {
      std::vector<Expression> parts;
      if (TakeOperator(".")) {
        parts.push_back(std::move(value));
        value = Make(Kind::kAttribute, std::move(parts), WantName());
      } else if (TakeOperator("[")) {
        parts.push_back(std::move(value));
        value = ParseItem(std::move(parts));
      } else if (IsOperator("(")) {
        parts.push_back(std::move(value));
        value = Make(Kind::kCall, std::move(parts));
        value.arguments = ParseArguments();
      } else {
        break;
      }
    }
    return value;
  }

  Expression ParseItem(std::vector<Expression> parts) {
    bool slice = false;
    for (int i = 0; i < 3 && ok() && !IsOperator("]"); ++i) {
      if (IsOperator(":")) {
        parts.push_back({.line = Now().line});
      } else {
        parts.push_back(ParseExpression());
      }
      if (!TakeOperator(":")) {
        break;
      }
      slice = true;
    }
    Want("]");
    if (parts.size() < 2) {
      Fail("wants an index");
    }
    if (slice) {
      parts.resize(4);
    }
    return Make(slice ? Kind::kSlice : Kind::kItem, std::move(parts));
  }

  std::vector<Argument> ParseArguments() {
    std::vector<Argument> arguments;
    Want("(");
    while (ok() && !IsOperator(")")) {
      Argument argument;
      if (Now().kind == Token::Kind::kName && at_ + 1 < tokens_.size() &&
          tokens_[at_ + 1].kind == Token::Kind::kOperator && tokens_[at_ + 1].text == "=") {
        argument.name = WantName();
        ++at_;
      }
      argument.value = ParseExpression();
      arguments.push_back(std::move(argument));
      if (!TakeOperator(",")) {
        break;
      }
    }
    Want(")");
    return arguments;
  }

  Expression ParseFilter(Expression value) {
    std::vector<Expression> parts;
    parts.push_back(std::move(value));
    Expression filter = Make(Kind::kFilter, std::move(parts), WantName());
    if (IsOperator("(")) {
      filter.arguments = ParseArguments();
    }
    return filter;
  }

  Expression ParseTest(Expression value) {
    const bool negated = TakeName("not");
    std::vector<Expression> parts;
    parts.push_back(std::move(value));
    Expression test = Make(Kind::kTest, std::move(parts), WantName());
    if (IsOperator("(")) {
      test.arguments = ParseArguments();
    } else if (Now().kind == Token::Kind::kString || Now().kind == Token::Kind::kNumber ||
               IsOperator("[") ||
               (Now().kind == Token::Kind::kName && !IsName("and") && !IsName("or") &&
                !IsName("else") && !IsName("if") && !IsName("is") && !IsName("not") &&
                !IsName("in"))) {
      test.arguments.push_back({.name = "", .value = ParsePostfix(ParsePrimary())});
    }
    if (!negated) {
      return test;
    }
    std::vector<Expression> inner;
    inner.push_back(std::move(test));
    return Make(Kind::kNot, std::move(inner));
  }

  std::vector<Token> tokens_;
  std::string file_;
  size_t at_ = 0;
  int depth_ = 0;
  int made_ = 0;  // expressions of this tag
  bool marks_generation_ = false;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<ParsedTemplate> ParseTemplate(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(std::vector<Token> tokens, TokensOf(text, file));
  return Parser(std::move(tokens), file).Run();
}

}  // namespace wattle::formats::jinja
