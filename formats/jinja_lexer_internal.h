// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tokens of a Jinja template. Private to formats.
#ifndef WATTLE_FORMATS_JINJA_LEXER_INTERNAL_H_
#define WATTLE_FORMATS_JINJA_LEXER_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace wattle::formats::jinja {

struct Token {
  enum class Kind { kText, kPrintBegin, kBlockBegin, kEnd, kName, kString, kNumber, kOperator };
  Kind kind = Kind::kEnd;  // kEnd: the end of a print, of a block statement, or of the template
  std::string text = {};
  nlohmann::ordered_json number = {};
  int line = 0;
};

// The tokens of the template, including whitespace control (Jinja's lexer with trim_blocks and
// lstrip_blocks); the last token is kEnd. Errors: kInvalidArgument "file:line: …".
absl::StatusOr<std::vector<Token>> TokensOf(absl::string_view text, absl::string_view file);

}  // namespace wattle::formats::jinja

#endif  // WATTLE_FORMATS_JINJA_LEXER_INTERNAL_H_
