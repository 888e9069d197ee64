// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shared by the readers of JSON Lines: the lines, and the messages of a conversation. Private to
// formats.
#ifndef WATTLE_FORMATS_JSON_LINES_INTERNAL_H_
#define WATTLE_FORMATS_JSON_LINES_INTERNAL_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "formats/chat.h"
#include "formats/json.h"

namespace wattle::formats {

struct NumberedLine {
  int64_t number = 0;  // from 1, blank lines included
  absl::string_view text;
};

// The lines that are not blank.
inline std::vector<NumberedLine> LinesOf(absl::string_view text) {
  std::vector<NumberedLine> lines;
  int64_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (!absl::StripAsciiWhitespace(line).empty()) {
      lines.push_back({number, line});
    }
  }
  return lines;
}

// The messages of a conversation. json: the value of "messages". Errors: kInvalidArgument with
// `where`, the message and the field; also for an empty list.
absl::StatusOr<std::vector<ChatMessage>> ParseMessages(const Json& json, absl::string_view where);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JSON_LINES_INTERNAL_H_
