// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// JSON of untrusted files: parsing without exceptions reaching the caller, and typed reading of
// fields with errors that name them. Thread-safe.
#ifndef WATTLE_FORMATS_JSON_INTERNAL_H_
#define WATTLE_FORMATS_JSON_INTERNAL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace wattle::formats {

using Json = nlohmann::json;

// Errors: kInvalidArgument "file:line:column: not valid JSON…", and for a key that stands twice in
// an object.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view file);

// The value as a whole number, if it is one and fits.
std::optional<int64_t> WholeNumber(const Json& value);

// "an object", "a list", "text", "a number", "true or false", "null".
absl::string_view JsonKind(const Json& value);

// "file: where: wants <wanted>, found <kind of value>".
absl::Status WrongKind(absl::string_view file, absl::string_view where, absl::string_view wanted,
                       const Json& found);

// `text` fit for a one-line message: control characters and invalid UTF-8 replaced, at most 60
// bytes.
std::string Printable(absl::string_view text);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JSON_INTERNAL_H_
