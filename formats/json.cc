// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/json.h"

#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

#include "base/utf8.h"

namespace wattle::formats {
namespace {

std::string LineAndColumn(absl::string_view text, size_t byte) {
  byte = std::min(byte, text.size());
  size_t line = 1;
  size_t line_start = 0;
  for (size_t i = 0; i < byte; ++i) {
    if (text[i] == '\n') {
      ++line;
      line_start = i + 1;
    }
  }
  return absl::StrCat(line, ":", byte - line_start + 1);
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view file) {
  return ParseJson(text, file, [](int, Json::parse_event_t, Json&) { return true; });
}

absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view file,
                               absl::FunctionRef<bool(int, Json::parse_event_t, Json&)> keep) {
  std::vector<absl::flat_hash_set<std::string>> open_objects;
  std::string duplicate;
  const auto callback = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      open_objects.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      open_objects.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second && duplicate.empty()) {
        duplicate = absl::StrCat("\"", Printable(key), "\"");
      }
    }
    return keep(depth, event, parsed);
  };
  try {
    Json json = Json::parse(text.begin(), text.end(), callback);
    if (!duplicate.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": the key ", duplicate, " stands twice in one object; remove one"));
    }
    return json;
  } catch (const Json::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", LineAndColumn(text, error.byte == 0 ? 0 : error.byte - 1),
                     ": not valid JSON; check that the file is complete and is what you meant"));
  } catch (const Json::exception&) {  // A number outside the range of double.
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": JSON with a number out of range; check the file"));
  }
}

std::optional<int64_t> WholeNumber(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return std::nullopt;
    }
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) {
    return value.get<int64_t>();
  }
  return std::nullopt;
}

absl::string_view JsonKind(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "text";
    case Json::value_t::boolean:
      return "true or false";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return "a number";
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded:
      break;
  }
  return "null";
}

absl::Status WrongKind(absl::string_view file, absl::string_view where, absl::string_view wanted,
                       const Json& found) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": ", where, ": wants ", wanted, ", found ", JsonKind(found)));
}

std::string Printable(absl::string_view text) {
  constexpr size_t kLongest = 60;
  std::string result;
  while (!text.empty()) {
    const size_t size = Utf8CharacterSize(text);
    if (result.size() + size > kLongest) {
      return result + "…";
    }
    const auto first = static_cast<unsigned char>(text[0]);
    if (size == 0 || first < 0x20 || first == 0x7f) {
      result += '?';
    } else {
      result.append(text.data(), size);
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return result;
}

}  // namespace wattle::formats
