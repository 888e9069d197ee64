// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Evaluates the operators, filters, tests and methods of Jinja. Private to formats.
#ifndef WATTLE_FORMATS_JINJA_OPERATIONS_INTERNAL_H_
#define WATTLE_FORMATS_JINJA_OPERATIONS_INTERNAL_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "formats/jinja_value_internal.h"

namespace wattle::formats::jinja {

// Arguments of a call, already evaluated.
struct Arguments {
  std::vector<Value> by_place;
  std::map<std::string, Value> by_name;

  // The argument at `place`, or by its name; undefined if neither is given.
  [[nodiscard]] Value Get(size_t place, const std::string& name) const {
    if (place < by_place.size()) {
      return by_place[place];
    }
    const auto found = by_name.find(name);
    return found == by_name.end() ? Value{} : found->second;
  }
};

// Errors of each function: kInvalidArgument for unsuitable values, kUnimplemented for an unknown
// name.
absl::StatusOr<Value> Binary(const std::string& name, const Value& left, const Value& right);
absl::StatusOr<Value> Filter(const std::string& name, const Value& value,
                             const Arguments& arguments);
absl::StatusOr<bool> Test(const std::string& name, const Value& value, const Arguments& arguments);
absl::StatusOr<Value> Method(const std::string& name, const Value& value,
                             const Arguments& arguments);
absl::StatusOr<Value> Slice(const Value& value, const Value& begin, const Value& end,
                            const Value& step);

}  // namespace wattle::formats::jinja

#endif  // WATTLE_FORMATS_JINJA_OPERATIONS_INTERNAL_H_
