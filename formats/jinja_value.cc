// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/utf8.h"
#include "formats/jinja_value_internal.h"
#include "formats/json.h"

namespace wattle::formats::jinja {
namespace {

std::vector<std::string> CharactersOf(absl::string_view text) {
  std::vector<std::string> characters;
  while (!text.empty()) {
    const size_t size = std::max<size_t>(1, Utf8CharacterSize(text));
    characters.emplace_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return characters;
}

}  // namespace

absl::Status Wrong(absl::string_view what, const Value& value) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": cannot be made of ", KindOf(value)));
}

absl::StatusOr<OrderedJson> ElementsOf(const Value& value) {
  OrderedJson list = OrderedJson::array();
  if (!value.defined()) {
    return list;
  }
  if (value.json().is_array()) {
    return value.json();
  }
  if (value.json().is_object()) {
    for (const auto& [key, unused] : value.json().items()) {
      list.push_back(key);
    }
    return list;
  }
  if (value.is_text()) {
    for (std::string& character : CharactersOf(value.text())) {
      list.push_back(std::move(character));
    }
    return list;
  }
  return Wrong("a list", value);
}

int64_t LengthOf(const Value& value) {
  return value.is_text() ? static_cast<int64_t>(CharactersOf(value.text()).size())
                         : static_cast<int64_t>(value.json().size());
}

bool IsTrue(const Value& value) {
  const OrderedJson& json = value.json();
  if (value.macro != nullptr) {
    return true;
  }
  return json.is_boolean()  ? json.get<bool>()
         : json.is_number() ? json.get<double>() != 0.0
         : json.is_string() ? !value.text().empty()
                            : !json.empty() || value.space != nullptr;
}

std::string KindOf(const Value& value) {
  return value.macro != nullptr ? "a macro"
         : !value.defined()     ? "an undefined value"
                                : std::string(JsonKind(Json(value.json())));
}

absl::StatusOr<std::string> Printed(const Value& value) {
  const OrderedJson& json = value.json();
  if (value.macro != nullptr || json.is_array() || json.is_object()) {
    return absl::UnimplementedError(
        absl::StrCat("printing ", KindOf(value), ": not supported in this version; use tojson"));
  }
  if (!value.defined()) {
    return std::string();
  }
  if (json.is_string()) {
    return value.text();
  }
  return json.is_null()      ? "None"
         : json.is_boolean() ? (json.get<bool>() ? "True" : "False")
                             : json.dump();
}

Value Part(const Value& whole, const OrderedJson& key) {
  const OrderedJson& json = whole.json();
  if (json.is_object() && key.is_string()) {
    const auto found = json.find(key.get_ref<const std::string&>());
    return found == json.end() ? Value{} : PartOf(whole, *found);
  }
  if (!key.is_number_integer()) {
    return {};
  }
  auto index = key.get<int64_t>();
  const int64_t size = json.is_array() || whole.is_text() ? LengthOf(whole) : 0;
  index += index < 0 ? size : 0;
  if (index < 0 || index >= size) {
    return {};
  }
  return json.is_array() ? PartOf(whole, json[static_cast<size_t>(index)])
                         : Of(CharactersOf(whole.text())[static_cast<size_t>(index)]);
}

}  // namespace wattle::formats::jinja
