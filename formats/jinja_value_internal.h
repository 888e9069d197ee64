// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Values of a running Jinja template, and what filters, tests and methods make of them. Private to
// formats.
#ifndef WATTLE_FORMATS_JINJA_VALUE_INTERNAL_H_
#define WATTLE_FORMATS_JINJA_VALUE_INTERNAL_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/jinja_syntax_internal.h"

namespace wattle::formats::jinja {

// A value is never changed, except for a namespace. Parts of a value share it.
struct Value {
  std::shared_ptr<const OrderedJson> data = nullptr;  // null: undefined
  std::shared_ptr<OrderedJson> space = nullptr;       // a namespace: data points to the same
  const Statement* macro = nullptr;

  [[nodiscard]] bool defined() const { return data != nullptr || macro != nullptr; }
  // The value as JSON; null of an undefined one.
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

// Arguments of a call, already computed.
struct Arguments {
  std::vector<Value> by_place;
  std::map<std::string, Value> by_name;

  // The argument at `place`, or by its name; undefined where neither is given.
  [[nodiscard]] Value Get(size_t place, const std::string& name) const {
    if (place < by_place.size()) {
      return by_place[place];
    }
    const auto found = by_name.find(name);
    return found == by_name.end() ? Value{} : found->second;
  }
};

// As Python's bool().
[[nodiscard]] bool IsTrue(const Value& value);
// As {{ value }} prints it. Errors: kUnimplemented for a list and an object.
absl::StatusOr<std::string> Printed(const Value& value);
// "text", "a list" and so on, for messages.
[[nodiscard]] std::string KindOf(const Value& value);
// whole.name or whole['name'] or whole[2]; undefined where there is no such part.
[[nodiscard]] Value Part(const Value& whole, const OrderedJson& key);

// Each: kInvalidArgument for values that do not fit, kUnimplemented for a name that is not there.
absl::StatusOr<Value> Binary(const std::string& name, const Value& left, const Value& right);
absl::StatusOr<Value> Filter(const std::string& name, const Value& value,
                             const Arguments& arguments);
absl::StatusOr<bool> Test(const std::string& name, const Value& value, const Arguments& arguments);
absl::StatusOr<Value> Method(const std::string& name, const Value& value,
                             const Arguments& arguments);
absl::StatusOr<Value> Slice(const Value& value, const Value& begin, const Value& end,
                            const Value& step);

}  // namespace wattle::formats::jinja

#endif  // WATTLE_FORMATS_JINJA_VALUE_INTERNAL_H_
