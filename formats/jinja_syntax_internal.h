// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The syntax tree of a Jinja template: jinja_parser.cc makes its statements, jinja_expressions.cc
// its expressions; jinja.cc runs it. Private to formats.
#ifndef WATTLE_FORMATS_JINJA_SYNTAX_INTERNAL_H_
#define WATTLE_FORMATS_JINJA_SYNTAX_INTERNAL_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace wattle::formats::jinja {

using OrderedJson = nlohmann::ordered_json;

struct Argument;

struct Expression {
  enum class Kind {
    kLiteral,    // literal
    kName,       // name
    kList,       // parts: the elements
    kDict,       // parts: key, value, key, value…
    kAttribute,  // parts[0].name
    kItem,       // parts[0][parts[1]]
    kSlice,      // parts[0][parts[1]:parts[2]:parts[3]]; an omitted part is a literal null
    kCall,       // parts[0](arguments)
    kFilter,     // parts[0] | name(arguments)
    kTest,       // parts[0] is name(arguments)
    kNot,
    kNegative,
    kBinary,  // parts[0] name parts[1]; name: the operator, "and", "or", "in", "not in"
    kChoice,  // parts[0] if parts[1] else parts[2]; without else: two parts
  };
  Kind kind = Kind::kLiteral;
  int line = 0;
  std::string name = {};
  OrderedJson literal = {};
  std::vector<Expression> parts = {};
  std::vector<Argument> arguments;  // without "= {}": clang wants Argument complete there
};

struct Argument {
  std::string name;  // empty: a positional argument
  Expression value;
};

struct Statement;

struct Block {
  std::vector<Statement> statements;
};

struct Statement {
  enum class Kind {
    kText,        // text
    kPrint,       // value
    kIf,          // if value: body, else: otherwise
    kFor,         // for targets in value, if condition: body, else: otherwise
    kSet,         // targets = value; one target may be "space.field"; without value: body's text
    kMacro,       // text: the name; targets with defaults: the parameters
    kGeneration,  // body
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  int line = 0;
  std::string text = {};
  bool has_value = false;
  Expression value = {};
  bool has_condition = false;
  Expression condition = {};
  std::vector<std::string> targets = {};
  std::vector<Expression> defaults = {};  // of the last targets
  Block body = {};
  Block otherwise = {};
};

struct ParsedTemplate {
  Block body;
  bool marks_generation = false;
};

// Errors: those of JinjaTemplate::Parse.
absl::StatusOr<ParsedTemplate> ParseTemplate(absl::string_view text, absl::string_view file);

}  // namespace wattle::formats::jinja

#endif  // WATTLE_FORMATS_JINJA_SYNTAX_INTERNAL_H_
