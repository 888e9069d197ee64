// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

#include "base/status_macros.h"
#include "formats/jinja_operations_internal.h"
#include "formats/json.h"

namespace wattle::formats::jinja {
namespace {

constexpr char kSpaces[] = " \t\n\r\f\v";

absl::Status Lacking(absl::string_view kind, absl::string_view name) {
  return absl::UnimplementedError(
      absl::StrCat(kind, " ", Printable(name), ": not supported in this version"));
}

std::string Stripped(absl::string_view text, absl::string_view characters, bool left, bool right) {
  while (left && !text.empty() && absl::StrContains(characters, text.front())) {
    text.remove_prefix(1);
  }
  while (right && !text.empty() && absl::StrContains(characters, text.back())) {
    text.remove_suffix(1);
  }
  return std::string(text);
}

// json.dumps(value, ensure_ascii=False, indent=indent); indent < 0: one line.
void DumpJson(const OrderedJson& json, int indent, int level, std::string& out) {
  const auto new_line = [&](int depth) {
    if (indent >= 0) {
      absl::StrAppend(&out, "\n", std::string(static_cast<size_t>(indent * depth), ' '));
    }
  };
  if ((!json.is_object() && !json.is_array()) || json.empty()) {
    out += json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    return;
  }
  out += json.is_object() ? '{' : '[';
  bool first = true;
  for (const auto& [key, part] : json.items()) {
    out += first ? "" : indent >= 0 ? "," : ", ";
    new_line(level + 1);
    if (json.is_object()) {
      absl::StrAppend(
          &out, OrderedJson(key).dump(-1, ' ', false, OrderedJson::error_handler_t::replace), ": ");
    }
    DumpJson(part, indent, level + 1, out);
    first = false;
  }
  new_line(level);
  out += json.is_object() ? '}' : ']';
}

std::string Titled(absl::string_view text, bool every_word) {
  std::string result = absl::AsciiStrToLower(text);
  bool begin = true;
  for (char& each : result) {
    const bool letter = absl::ascii_isalpha(static_cast<unsigned char>(each));
    if (begin && letter) {
      each = absl::ascii_toupper(static_cast<unsigned char>(each));
    }
    begin = every_word && !letter;
  }
  return result;
}

absl::StatusOr<Value> SplitText(const std::string& text, const Arguments& arguments) {
  OrderedJson parts = OrderedJson::array();
  const Value separator = arguments.Get(0, "sep");
  const Value most = arguments.Get(1, "maxsplit");
  const int64_t limit = most.json().is_number_integer() ? most.json().get<int64_t>() : -1;
  if (!separator.is_text()) {
    for (const absl::string_view part :
         absl::StrSplit(text, absl::ByAnyChar(kSpaces), absl::SkipEmpty())) {
      parts.push_back(std::string(part));
    }
    return Of(std::move(parts));
  }
  if (separator.text().empty()) {
    return absl::InvalidArgumentError("split: an empty separator");
  }
  absl::string_view rest = text;
  for (int64_t done = 0; limit < 0 || done < limit; ++done) {
    const size_t at = rest.find(separator.text());
    if (at == absl::string_view::npos) {
      break;
    }
    parts.push_back(std::string(rest.substr(0, at)));
    rest.remove_prefix(at + separator.text().size());
  }
  parts.push_back(std::string(rest));
  return Of(std::move(parts));
}

absl::StatusOr<Value> Replaced(const std::string& text, const Arguments& arguments) {
  const Value from = arguments.Get(0, "old");
  const Value to = arguments.Get(1, "new");
  if (!from.is_text() || !to.is_text() || from.text().empty()) {
    return absl::InvalidArgumentError("replace: wants two texts, the first not empty");
  }
  return Of(absl::StrReplaceAll(text, {{from.text(), to.text()}}));
}

absl::StatusOr<Value> ItemsOf(const Value& value) {
  if (!value.json().is_object()) {
    return Wrong("items", value);
  }
  OrderedJson items = OrderedJson::array();
  for (const auto& [key, part] : value.json().items()) {
    items.push_back(OrderedJson::array({key, part}));
  }
  return Of(std::move(items));
}

// selectattr, rejectattr, map(attribute=…): over the elements of a list.
absl::StatusOr<Value> OverElements(const std::string& name, const Value& value,
                                   const Arguments& arguments) {
  const Value attribute = arguments.Get(name == "map" ? 99 : 0, "attribute");
  if (!attribute.is_text()) {
    return Lacking("filter", absl::StrCat(name, " without an attribute"));
  }
  WATTLE_ASSIGN_OR_RETURN(const OrderedJson elements, ElementsOf(value));
  const Value list = Of(elements);
  OrderedJson result = OrderedJson::array();
  for (const OrderedJson& element : list.json()) {
    const Value part = Part(PartOf(list, element), attribute.json());
    if (name == "map") {
      result.push_back(part.json());
      continue;
    }
    bool selected = IsTrue(part);
    if (arguments.by_place.size() > 1) {
      Arguments rest;
      rest.by_place.assign(arguments.by_place.begin() + 2, arguments.by_place.end());
      if (!arguments.by_place[1].is_text()) {
        return Wrong("a test", arguments.by_place[1]);
      }
      WATTLE_ASSIGN_OR_RETURN(selected, Test(arguments.by_place[1].text(), part, rest));
    }
    if (selected == (name == "selectattr")) {
      result.push_back(element);
    }
  }
  return Of(std::move(result));
}

absl::StatusOr<Value> NumberOf(const Value& value, bool whole) {
  double number = 0.0;
  int64_t integer = 0;
  if (value.json().is_number_integer() || value.json().is_boolean()) {
    integer = value.json().is_boolean() ? (value.json().get<bool>() ? 1 : 0)
                                        : value.json().get<int64_t>();
    return whole ? Of(integer) : Of(static_cast<double>(integer));
  }
  if (value.is_text() && whole && absl::SimpleAtoi(value.text(), &integer)) {
    return Of(integer);
  }
  if (value.json().is_number_float()) {
    number = value.json().get<double>();
  } else if (!value.is_text() || !absl::SimpleAtod(value.text(), &number)) {
    number = 0.0;  // Jinja's int and float without a default
  }
  if (whole) {
    return std::abs(number) < 9e15 ? absl::StatusOr<Value>(Of(static_cast<int64_t>(number)))
                                   : Wrong("a whole number", value);
  }
  return Of(number);
}

absl::StatusOr<Value> Arithmetic(const std::string& name, const Value& left, const Value& right) {
  if (!left.json().is_number() || !right.json().is_number()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" of ", KindOf(left), " and ", KindOf(right)));
  }
  const bool whole = left.json().is_number_integer() && right.json().is_number_integer();
  const double a = left.json().get<double>();
  const double b = right.json().get<double>();
  if (b == 0.0 && (name == "/" || name == "//" || name == "%")) {
    return absl::InvalidArgumentError("division by zero");
  }
  double result = 0.0;
  if (name == "+") {
    result = a + b;
  } else if (name == "-") {
    result = a - b;
  } else if (name == "*") {
    result = a * b;
  } else if (name == "/") {
    return Of(a / b);
  } else if (name == "//") {
    result = std::floor(a / b);
  } else {
    result = a - b * std::floor(a / b);
  }
  if (!whole) {
    return Of(result);
  }
  if (std::abs(result) >= 9e15) {
    return absl::InvalidArgumentError("a whole number that is too large");
  }
  return Of(static_cast<int64_t>(result));
}

absl::StatusOr<Value> Compared(const std::string& name, const Value& left, const Value& right) {
  const bool numbers = left.json().is_number() && right.json().is_number();
  if (!numbers && !(left.is_text() && right.is_text())) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" of ", KindOf(left), " and ", KindOf(right)));
  }
  const bool less = left.json() < right.json();
  const bool equal = left.json() == right.json();
  return Of(name == "<"    ? less
            : name == "<=" ? less || equal
            : name == ">"  ? !less && !equal
                           : !less);
}

absl::StatusOr<bool> IsIn(const Value& part, const Value& whole) {
  if (whole.is_text()) {
    return part.is_text() ? absl::StatusOr<bool>(absl::StrContains(whole.text(), part.text()))
                          : Wrong("\"in\" of text", part);
  }
  if (whole.json().is_object()) {
    return part.is_text() && whole.json().contains(part.text());
  }
  if (whole.json().is_array()) {
    return std::find(whole.json().begin(), whole.json().end(), part.json()) != whole.json().end();
  }
  return Wrong("\"in\"", whole);
}

absl::StatusOr<Value> Joined(const Value& value, const Value& between) {
  WATTLE_ASSIGN_OR_RETURN(const OrderedJson list, ElementsOf(value));
  std::vector<std::string> parts;
  for (const OrderedJson& part : list) {
    WATTLE_ASSIGN_OR_RETURN(std::string text, Printed(Of(part)));
    parts.push_back(std::move(text));
  }
  return Of(absl::StrJoin(parts, between.is_text() ? between.text() : ""));
}

}  // namespace

absl::StatusOr<Value> Binary(const std::string& name, const Value& left, const Value& right) {
  if (name == "==" || name == "!=") {
    const bool equal = left.defined() == right.defined() && left.json() == right.json();
    return Of(equal == (name == "=="));
  }
  if (name == "in" || name == "not in") {
    WATTLE_ASSIGN_OR_RETURN(const bool in, IsIn(left, right));
    return Of(in == (name == "in"));
  }
  if (name == "<" || name == "<=" || name == ">" || name == ">=") {
    return Compared(name, left, right);
  }
  if (name == "~") {
    WATTLE_ASSIGN_OR_RETURN(const std::string first, Printed(left));
    WATTLE_ASSIGN_OR_RETURN(const std::string second, Printed(right));
    return Of(first + second);
  }
  if (name == "+" && left.is_text() && right.is_text()) {
    return Of(left.text() + right.text());
  }
  if (name == "+" && left.json().is_array() && right.json().is_array()) {
    OrderedJson both = left.json();
    both.insert(both.end(), right.json().begin(), right.json().end());
    return Of(std::move(both));
  }
  return Arithmetic(name, left, right);
}

absl::StatusOr<Value> Filter(const std::string& name, const Value& value,
                             const Arguments& arguments) {
  if (name == "default" || name == "d") {
    const bool also_false = IsTrue(arguments.Get(1, "boolean"));
    const Value other = arguments.Get(0, "default_value");
    const Value instead = other.defined() ? other : Of("");
    return value.defined() && (!also_false || IsTrue(value)) ? value : instead;
  }
  if (name == "length" || name == "count") {
    if (value.defined() && !value.is_text() && !value.json().is_structured()) {
      return Wrong(name, value);
    }
    return Of(value.defined() ? LengthOf(value) : 0);
  }
  if (name == "tojson") {
    const Value indent = arguments.Get(0, "indent");
    if (!value.defined()) {
      return Wrong(name, value);
    }
    std::string text;
    DumpJson(value.json(),
             indent.json().is_number_integer()
                 ? static_cast<int>(std::clamp<int64_t>(indent.json().get<int64_t>(), 0, 16))
                 : -1,
             0, text);
    return Of(std::move(text));
  }
  if (name == "list") {
    WATTLE_ASSIGN_OR_RETURN(OrderedJson list, ElementsOf(value));
    return Of(std::move(list));
  }
  if (name == "first" || name == "last" || name == "reverse") {
    WATTLE_ASSIGN_OR_RETURN(OrderedJson list, ElementsOf(value));
    if (name == "reverse") {
      std::reverse(list.begin(), list.end());
      return Of(std::move(list));
    }
    const Value all = Of(std::move(list));
    return Part(all, name == "first" ? 0 : -1);
  }
  if (name == "join") {
    return Joined(value, arguments.Get(0, "d"));
  }
  if (name == "selectattr" || name == "rejectattr" || name == "map") {
    return OverElements(name, value, arguments);
  }
  if (name == "int" || name == "float") {
    return NumberOf(value, name == "int");
  }
  if (name == "items") {
    return ItemsOf(value);
  }
  if (name == "string" || name == "safe") {
    WATTLE_ASSIGN_OR_RETURN(std::string text, Printed(value));
    return Of(std::move(text));
  }
  if (name == "trim") {
    WATTLE_ASSIGN_OR_RETURN(const std::string text, Printed(value));
    const Value characters = arguments.Get(0, "chars");
    return Of(Stripped(text, characters.is_text() ? characters.text() : kSpaces, true, true));
  }
  if (value.is_text() && (name == "upper" || name == "lower" || name == "title" ||
                          name == "capitalize" || name == "replace")) {
    return Method(name, value, arguments);
  }
  return Lacking(absl::StrCat("filter of ", KindOf(value)), name);
}

absl::StatusOr<bool> Test(const std::string& name, const Value& value, const Arguments& arguments) {
  const OrderedJson& json = value.json();
  if (name == "defined") {
    return value.defined();
  }
  if (name == "undefined") {
    return !value.defined();
  }
  if (name == "none") {
    return value.data != nullptr && json.is_null();
  }
  if (name == "string") {
    return json.is_string();
  }
  if (name == "mapping") {
    return json.is_object();
  }
  if (name == "iterable" || name == "sequence") {
    return json.is_structured() || json.is_string();
  }
  if (name == "number") {
    return json.is_number() || json.is_boolean();
  }
  if (name == "integer") {
    return json.is_number_integer();
  }
  if (name == "boolean") {
    return json.is_boolean();
  }
  if (name == "true" || name == "false") {
    return json.is_boolean() && json.get<bool>() == (name == "true");
  }
  if (name == "odd" || name == "even") {
    if (!json.is_number_integer()) {
      return Wrong(name, value);
    }
    return (json.get<int64_t>() % 2 != 0) == (name == "odd");
  }
  const Value other = arguments.Get(0, "");
  if (name == "equalto" || name == "eq" || name == "ne") {
    return (json == other.json()) == (name != "ne");
  }
  if (name == "in") {
    return IsIn(value, other);
  }
  return Lacking("test", name);
}

absl::StatusOr<Value> Method(const std::string& name, const Value& value,
                             const Arguments& arguments) {
  if (value.json().is_object()) {
    if (name == "items") {
      return ItemsOf(value);
    }
    if (name == "keys") {
      WATTLE_ASSIGN_OR_RETURN(OrderedJson keys, ElementsOf(value));
      return Of(std::move(keys));
    }
    if (name == "get") {
      const Value found = Part(value, arguments.Get(0, "key").json());
      const Value instead = arguments.Get(1, "default");
      return found.defined() ? found : instead.defined() ? instead : Of(nullptr);
    }
  }
  if (!value.is_text()) {
    return Lacking(absl::StrCat("method of ", KindOf(value)), name);
  }
  const std::string& text = value.text();
  const Value first = arguments.Get(0, "");
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    return Of(Stripped(text, first.is_text() ? first.text() : kSpaces, name != "rstrip",
                       name != "lstrip"));
  }
  if (name == "startswith" || name == "endswith") {
    if (!first.is_text()) {
      return Wrong(name, first);
    }
    return Of(name == "startswith" ? absl::StartsWith(text, first.text())
                                   : absl::EndsWith(text, first.text()));
  }
  if (name == "upper" || name == "lower") {
    return Of(name == "upper" ? absl::AsciiStrToUpper(text) : absl::AsciiStrToLower(text));
  }
  if (name == "title" || name == "capitalize") {
    return Of(Titled(text, name == "title"));
  }
  if (name == "split") {
    return SplitText(text, arguments);
  }
  if (name == "replace") {
    return Replaced(text, arguments);
  }
  return Lacking("method of text", name);
}

absl::StatusOr<Value> Slice(const Value& value, const Value& begin, const Value& end,
                            const Value& step) {
  if (!value.is_text() && !value.json().is_array()) {
    return Wrong("a slice", value);
  }
  WATTLE_ASSIGN_OR_RETURN(const OrderedJson list, ElementsOf(value));
  const auto size = static_cast<int64_t>(list.size());
  for (const Value* each : {&begin, &end, &step}) {
    if (!each->json().is_null() && !each->json().is_number_integer()) {
      return Wrong("an index", *each);
    }
  }
  const int64_t by = step.json().is_null() ? 1 : step.json().get<int64_t>();
  if (by == 0) {
    return absl::InvalidArgumentError("a slice of step 0");
  }
  const auto place = [&](const Value& index, int64_t absent) {
    if (index.json().is_null()) {
      return absent;
    }
    const int64_t at = std::clamp<int64_t>(index.json().get<int64_t>(), -size - 1, size + 1);
    return std::clamp<int64_t>(at < 0 ? at + size : at, by > 0 ? 0 : -1, by > 0 ? size : size - 1);
  };
  const int64_t from = place(begin, by > 0 ? 0 : size - 1);
  const int64_t to = place(end, by > 0 ? size : -1);
  OrderedJson part = OrderedJson::array();
  std::string text;
  for (int64_t i = from; by > 0 ? i < to : i > to;
       i += std::clamp<int64_t>(by, -size - 1, size + 1)) {
    if (value.is_text()) {
      text += list[static_cast<size_t>(i)].get_ref<const std::string&>();
    } else {
      part.push_back(list[static_cast<size_t>(i)]);
    }
  }
  return value.is_text() ? Of(std::move(text)) : Of(std::move(part));
}

}  // namespace wattle::formats::jinja
