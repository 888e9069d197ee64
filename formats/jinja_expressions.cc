// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "absl/strings/ascii.h"

#include "formats/jinja_expressions_internal.h"

namespace wattle::formats::jinja {
namespace {

constexpr int kPartsMax = 200;  // expressions in one tag; bounds the depth of a chain of them

using Kind = Expression::Kind;

}  // namespace

Expression ExpressionParser::Make(Kind kind, std::vector<Expression> parts, std::string name) {
  if (++made_ > kPartsMax) {
    Fail("has too many parts");
  }
  return {.kind = kind,
          .line = Now().line,
          .name = std::move(name),
          .parts = std::move(parts),
          .arguments = {}};
}

Expression ExpressionParser::ParseTuple() {
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

Expression ExpressionParser::ParseExpression() {
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
Expression ExpressionParser::ParseBinary(std::initializer_list<absl::string_view> operators,
                                         Next next) {
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

Expression ExpressionParser::ParseOr() {
  return ParseBinary({"or"}, [this] { return ParseAnd(); });
}

Expression ExpressionParser::ParseAnd() {
  return ParseBinary({"and"}, [this] { return ParseNot(); });
}

Expression ExpressionParser::ParseNot() {
  const Deeper deeper(*this);
  if (ok() && TakeName("not")) {
    std::vector<Expression> parts;
    parts.push_back(ParseNot());
    return Make(Kind::kNot, std::move(parts));
  }
  return ParseCompare();
}

Expression ExpressionParser::ParseCompare() {
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

Expression ExpressionParser::ParseSum() {
  return ParseBinary({"+", "-"}, [this] { return ParseConcatenation(); });
}

Expression ExpressionParser::ParseConcatenation() {
  return ParseBinary({"~"}, [this] { return ParseProduct(); });
}

Expression ExpressionParser::ParseProduct() {
  return ParseBinary({"*", "//", "/", "%"}, [this] { return ParseUnary(); });
}

Expression ExpressionParser::ParseUnary(bool with_filters) {
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

Expression ExpressionParser::ParsePrimary() {
  if (!ok()) {
    return {};  // also reached when the expression is nested too deeply
  }
  const Token token = Now();
  Expression value{.line = token.line, .arguments = {}};
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

Expression ExpressionParser::ParsePostfix(Expression value) {
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

Expression ExpressionParser::ParseItem(std::vector<Expression> parts) {
  bool slice = false;
  for (int i = 0; i < 3 && ok() && !IsOperator("]"); ++i) {
    if (IsOperator(":")) {
      parts.push_back({.line = Now().line, .arguments = {}});
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

std::vector<Argument> ExpressionParser::ParseArguments() {
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

Expression ExpressionParser::ParseFilter(Expression value) {
  std::vector<Expression> parts;
  parts.push_back(std::move(value));
  Expression filter = Make(Kind::kFilter, std::move(parts), WantName());
  if (IsOperator("(")) {
    filter.arguments = ParseArguments();
  }
  return filter;
}

Expression ExpressionParser::ParseTest(Expression value) {
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

}  // namespace wattle::formats::jinja
