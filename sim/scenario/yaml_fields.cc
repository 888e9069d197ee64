// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "base/nearest_word.h"
#include "sim/scenario/scenario.h"
#include "sim/scenario/yaml_fields_internal.h"

namespace wattle::sim {

void Check(const absl::Status& status) {
  if (!status.ok()) {
    throw Problem{std::string(status.message())};
  }
}

bool ParseSpan(absl::string_view text, double& seconds) {
  seconds = 0.0;
  if (text == "0") {
    return true;
  }
  bool any = false;
  while (!text.empty()) {
    const size_t unit = text.find_first_of("dhms");
    double number = 0.0;
    if (unit == absl::string_view::npos || !absl::SimpleAtod(text.substr(0, unit), &number) ||
        !std::isfinite(number) || number < 0.0) {
      return false;
    }
    const char name = text[unit];
    seconds += number * (name == 'd'   ? kSecondsOfDay
                         : name == 'h' ? kSecondsOfHour
                         : name == 'm' ? 60.0
                                       : 1.0);
    text.remove_prefix(unit + 1);
    while (absl::StartsWith(text, " ")) {
      text.remove_prefix(1);
    }
    any = true;
  }
  return any;
}

std::string Place(const YAML::Node& node, const std::string& file) {
  // What the command line put there stands in no line.
  return node.Mark().is_null() ? absl::StrCat(file, " with the changes of the command line: ")
                               : absl::StrCat(file, ":", node.Mark().line + 1, ": ");
}

Fields::Fields(const YAML::Node& node, std::string file, std::string path)
    : node_(node), file_(std::move(file)), path_(std::move(path)) {
  if (!node.IsMap()) {
    throw Problem{absl::StrCat(Place(node, file_), path_, ": wanted fields (name: value)")};
  }
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar() || !seen.insert(entry.first.Scalar()).second) {
      throw Problem{absl::StrCat(Place(entry.first, file_), path_, ": ",
                                 entry.first.IsScalar() ? entry.first.Scalar() : "a field",
                                 " stands twice or is no name; wanted each field once")};
    }
  }
}

bool Fields::Has(const std::string& name) {
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
    known_.push_back(name);  // In the order in which they were asked for.
  }
  return static_cast<bool>(node_[name]);
}

std::optional<YAML::Node> Fields::Find(const std::string& name) {
  return Has(name) ? std::optional<YAML::Node>(node_[name]) : std::nullopt;
}

YAML::Node Fields::Node(const std::string& name) {
  if (Has(name)) {
    return node_[name];
  }
  for (const auto& entry : node_) {
    if (NearestWord(entry.first.Scalar(), {name}) == name) {
      RefuseName(entry.first, entry.second, name);
    }
  }
  throw Problem{absl::StrCat(Place(node_, file_), PathOf(name), ": missing; wanted a value")};
}

void Fields::Fail(const std::string& name, absl::string_view wanted) const {
  const YAML::Node child = node_[name];
  const std::string value = child && child.IsScalar() ? child.Scalar() : "not a single value";
  throw Problem{absl::StrCat(Place(child ? child : node_, file_), PathOf(name), ": \"", value,
                             "\"; wanted ", wanted)};
}

std::string Fields::Text(const std::string& name) {
  const YAML::Node child = Node(name);
  if (!child.IsScalar() || child.Scalar().empty()) {
    Fail(name, "text");
  }
  return child.Scalar();
}

std::string Fields::Text(const std::string& name, const std::string& otherwise) {
  return Has(name) ? Text(name) : otherwise;
}

double Fields::Parsed(const std::string& name, bool (*parse)(absl::string_view, double&),
                      std::pair<double, double> bounds, double otherwise,
                      absl::string_view wanted) {
  const std::optional<YAML::Node> child = Find(name);
  if (!child.has_value()) {
    return otherwise;
  }
  double value = 0.0;
  if (!child->IsScalar() || !parse(child->Scalar(), value) ||
      !(value >= bounds.first && value <= bounds.second)) {
    Fail(name, wanted);
  }
  return value;
}

double Fields::Number(const std::string& name, double low, double high, double otherwise,
                      absl::string_view wanted) {
  const auto parse = [](absl::string_view text, double& number) {
    return absl::SimpleAtod(text, &number);
  };
  return Parsed(name, parse, {low, high}, otherwise, wanted);
}

int Fields::Whole(const std::string& name, int low, int high, int otherwise,
                  absl::string_view wanted) {
  const double number = Number(name, low, high, otherwise, wanted);
  if (number != std::floor(number)) {
    Fail(name, wanted);
  }
  return static_cast<int>(number);
}

double Fields::Span(const std::string& name, double low, double high, double otherwise,
                    absl::string_view wanted) {
  return Parsed(name, ParseSpan, {low, high}, otherwise, wanted);
}

std::vector<std::string> Fields::Texts(const std::string& name) {
  const std::optional<YAML::Node> child = Find(name);
  if (!child.has_value()) {
    return {};
  }
  if (child->IsScalar()) {
    return absl::StrSplit(child->Scalar(), ',');
  }
  std::vector<std::string> texts;
  for (const YAML::Node& one : *child) {
    if (!one.IsScalar()) {
      Fail(name, "a list of words");
    }
    texts.push_back(one.Scalar());
  }
  return texts;
}

std::vector<YAML::Node> Fields::List(const std::string& name) {
  const std::optional<YAML::Node> child = Find(name);
  if (child.has_value() && !child->IsSequence()) {
    Fail(name, "a list: lines that begin with -");
  }
  return child.has_value() ? std::vector<YAML::Node>(child->begin(), child->end())
                           : std::vector<YAML::Node>();
}

std::vector<std::pair<std::string, YAML::Node>> Fields::Map(const std::string& name) {
  const std::optional<YAML::Node> child = Find(name);
  if (!child.has_value()) {
    return {};
  }
  if (!child->IsMap()) {
    Fail(name, "fields (name: value)");
  }
  std::vector<std::pair<std::string, YAML::Node>> entries;
  for (const auto& entry : *child) {
    entries.emplace_back(entry.first.as<std::string>(""), entry.second);
  }
  return entries;
}

void Fields::RefuseTheRest() const {
  for (const auto& entry : node_) {
    const std::string name = entry.first.Scalar();
    if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
      RefuseName(entry.first, entry.second, NearestWord(name, known_));
    }
  }
}

void Fields::RefuseName(const YAML::Node& key, const YAML::Node& value,
                        const std::string& nearest) const {
  const bool from_outside = value.Mark().is_null();
  throw Problem{absl::StrCat(
      Place(from_outside ? value : key, file_), PathOf(key.Scalar()), ": unknown field; ",
      nearest.empty() ? absl::StrCat("wanted one of ", absl::StrJoin(known_, ", "))
                      : absl::StrCat("did you mean \"", nearest, "\"?"))};
}

std::string Fields::PathOf(const std::string& name) const {
  return path_.empty() ? name : absl::StrCat(path_, ".", name);
}

}  // namespace wattle::sim
