// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Values of a running Jinja template. Private to formats.
#ifndef WATTLE_FORMATS_JINJA_VALUE_INTERNAL_H_
#define WATTLE_FORMATS_JINJA_VALUE_INTERNAL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/jinja_syntax_internal.h"

namespace wattle::formats::jinja {

// A value is immutable, except for a namespace. Parts of a value share its storage.
struct Value {
  std::shared_ptr<const OrderedJson> data = nullptr;  // null: undefined
  std::shared_ptr<OrderedJson> space = nullptr;       // a namespace: data points to the same
  const Statement* macro = nullptr;

  [[nodiscard]] bool defined() const { return data != nullptr || macro != nullptr; }
  // The value as JSON; null if undefined.
  [[nodiscard]] const OrderedJson& json() const {
    static const auto& nothing = *new OrderedJson();
    return data == nullptr ? nothing : *data;
  }
  [[nodiscard]] bool is_text() const { return json().is_string(); }
  [[nodiscard]] const std::string& text() const { return json().get_ref<const std::string&>(); }
};

inline Value Of(OrderedJson json) {
  return {.data = std::make_shared<const OrderedJson>(std::move(json))};
}
inline Value PartOf(const Value& whole, const OrderedJson& part) {
  return {.data = std::shared_ptr<const OrderedJson>(whole.data, &part)};
}

// Truth value as Python's bool() computes it.
[[nodiscard]] bool IsTrue(const Value& value);
// The text that {{ value }} prints. Errors: kUnimplemented for a list or an object.
absl::StatusOr<std::string> Printed(const Value& value);
// "text", "a list" and so on, for messages.
[[nodiscard]] std::string KindOf(const Value& value);
// whole.name or whole['name'] or whole[2]; undefined if there is no such part.
[[nodiscard]] Value Part(const Value& whole, const OrderedJson& key);

// The items of a loop over the value, in order: elements, keys, or characters. Errors:
// kInvalidArgument for a value that cannot be iterated.
absl::StatusOr<OrderedJson> ElementsOf(const Value& value);
// Length; for text, in characters. value: text, a list or an object.
[[nodiscard]] int64_t LengthOf(const Value& value);
// "what: cannot be made of a number"
[[nodiscard]] absl::Status Wrong(absl::string_view what, const Value& value);

}  // namespace wattle::formats::jinja

#endif  // WATTLE_FORMATS_JINJA_VALUE_INTERNAL_H_
