// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/jinja_expressions_internal.h"
#include "formats/jinja_lexer_internal.h"
#include "formats/jinja_syntax_internal.h"
#include "formats/json.h"

namespace wattle::formats::jinja {
namespace {

// Parses the statements.
class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

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
  // Statements up to a block statement named in `ends`, which stays the next token after
  // kBlockBegin; if `ends` is empty, up to the end of the template.
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

  bool marks_generation_ = false;
};

}  // namespace

absl::StatusOr<ParsedTemplate> ParseTemplate(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(std::vector<Token> tokens, TokensOf(text, file));
  return Parser(std::move(tokens), file).Run();
}

}  // namespace wattle::formats::jinja
