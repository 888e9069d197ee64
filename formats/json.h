// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Parses JSON of untrusted files. No exception of the JSON library reaches the caller, and errors
// name the field. Thread-safe.
#ifndef WATTLE_FORMATS_JSON_INTERNAL_H_
#define WATTLE_FORMATS_JSON_INTERNAL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace wattle::formats {

using Json = nlohmann::json;

// Errors: kInvalidArgument "file:line:column: not valid JSON…"; also for a repeated key in an
// object.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view file);
// ParseJson, piece by piece: keep(depth, event, value) is called at each event like nlohmann's
// parser callback. A value for which it returns false is omitted from the result and uses no memory
// while the rest is parsed.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view file,
                               absl::FunctionRef<bool(int, Json::parse_event_t, Json&)> keep);

// The value, if it is a whole number that fits into 64 bits.
std::optional<int64_t> WholeNumber(const Json& value);

// "an object", "a list", "text", "a number", "true or false", "null".
absl::string_view JsonKind(const Json& value);

// "file: where: wants <wanted>, found <kind of value>".
absl::Status WrongKind(absl::string_view file, absl::string_view where, absl::string_view wanted,
                       const Json& found);

// `text` for a one-line message: at most 60 bytes, control characters and invalid UTF-8 replaced.
std::string Printable(absl::string_view text);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JSON_INTERNAL_H_
