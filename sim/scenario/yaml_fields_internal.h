// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads the fields of a YAML map by name, and says of a wrong one: file, line, value, and what is
// wanted. For scenario_file.cc, whose functions say which fields there are.
#ifndef WATTLE_SIM_SCENARIO_YAML_FIELDS_INTERNAL_H_
#define WATTLE_SIM_SCENARIO_YAML_FIELDS_INTERNAL_H_

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include <yaml-cpp/yaml.h>

#include "base/nearest_word.h"
#include "sim/scenario/scenario.h"

namespace wattle::sim {

// An error on its way out of the reader, where it becomes a Status: ParseScenario throws none.
struct Problem {
  std::string message;
};

template <typename T>
T Unwrap(absl::StatusOr<T> value) {
  if (!value.ok()) {
    throw Problem{std::string(value.status().message())};
  }
  return *std::move(value);
}

inline void Check(const absl::Status& status) {
  if (!status.ok()) {
    throw Problem{std::string(status.message())};
  }
}

// "1d 12h", "90m", "30s": numbers with units; a bare 0 too.
inline bool ParseSpan(absl::string_view text, double& seconds) {
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

inline std::string Place(const YAML::Node& node, const std::string& file) {
  // What --set and --add put there stands in no line.
  return node.Mark().is_null() ? absl::StrCat(file, " with --set or --add: ")
                               : absl::StrCat(file, ":", node.Mark().line + 1, ": ");
}

// The fields of one map. A field that nobody asked for is a misspelling.
class Fields {
 public:
  Fields(const YAML::Node& node, std::string file, std::string path)
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

  [[nodiscard]] const std::string& file() const { return file_; }
  bool Has(const std::string& name) {
    known_.push_back(name);
    return static_cast<bool>(node_[name]);
  }
  YAML::Node Node(const std::string& name) {
    if (!Has(name)) {
      for (const auto& entry : node_) {
        if (NearestWord(entry.first.Scalar(), {name}) == name) {
          RefuseName(entry, name);
        }
      }
      throw Problem{absl::StrCat(Place(node_, file_), PathOf(name), ": missing; wanted a value")};
    }
    return node_[name];
  }
  [[noreturn]] void Fail(const std::string& name, absl::string_view wanted) const {
    const YAML::Node child = node_[name];
    const std::string value = child && child.IsScalar() ? child.Scalar() : "not a single value";
    throw Problem{absl::StrCat(Place(child ? child : node_, file_), PathOf(name), ": \"", value,
                               "\"; wanted ", wanted)};
  }

  std::string Text(const std::string& name, const std::string& otherwise) {
    return Has(name) ? Text(name) : otherwise;
  }
  std::string Text(const std::string& name) {
    const YAML::Node child = Node(name);
    if (!child.IsScalar() || child.Scalar().empty()) {
      Fail(name, "text");
    }
    return child.Scalar();
  }
  // From `low` to `high`.
  double Number(const std::string& name, double low, double high, double otherwise,
                absl::string_view wanted) {
    if (!Has(name)) {
      return otherwise;
    }
    const YAML::Node child = Node(name);
    double number = 0.0;
    if (!child.IsScalar() || !absl::SimpleAtod(child.Scalar(), &number) ||
        !(number >= low && number <= high)) {
      Fail(name, wanted);
    }
    return number;
  }
  int Whole(const std::string& name, int low, int high, int otherwise, absl::string_view wanted) {
    const double number = Number(name, low, high, otherwise, wanted);
    if (number != std::floor(number)) {
      Fail(name, wanted);
    }
    return static_cast<int>(number);
  }
  double Span(const std::string& name, double low, double high, double otherwise,
              absl::string_view wanted) {
    if (!Has(name)) {
      return otherwise;
    }
    const YAML::Node child = Node(name);
    double seconds = 0.0;
    if (!child.IsScalar() || !ParseSpan(child.Scalar(), seconds) || seconds < low ||
        seconds > high) {
      Fail(name, wanted);
    }
    return seconds;
  }
  // A single value, or a list of them.
  std::vector<std::string> Texts(const std::string& name) {
    std::vector<std::string> texts;
    if (!Has(name)) {
      return texts;
    }
    const YAML::Node child = Node(name);
    if (child.IsScalar()) {
      return absl::StrSplit(child.Scalar(), ',');
    }
    for (const YAML::Node& one : child) {
      if (!one.IsScalar()) {
        Fail(name, "a list of words");
      }
      texts.push_back(one.Scalar());
    }
    return texts;
  }
  std::vector<YAML::Node> List(const std::string& name) {
    std::vector<YAML::Node> nodes;
    if (!Has(name)) {
      return nodes;
    }
    const YAML::Node child = Node(name);
    if (!child.IsSequence()) {
      Fail(name, "a list: lines that begin with -");
    }
    for (const YAML::Node& one : child) {
      nodes.push_back(one);
    }
    return nodes;
  }
  // Entries "name: {fields}".
  std::vector<std::pair<std::string, YAML::Node>> Map(const std::string& name) {
    std::vector<std::pair<std::string, YAML::Node>> entries;
    if (!Has(name)) {
      return entries;
    }
    const YAML::Node child = Node(name);
    if (!child.IsMap()) {
      Fail(name, "fields (name: value)");
    }
    for (const auto& entry : child) {
      entries.emplace_back(entry.first.as<std::string>(""), entry.second);
    }
    return entries;
  }

  // Call it when every field was asked for.
  void RefuseTheRest() const {
    for (const auto& entry : node_) {
      const std::string name = entry.first.Scalar();
      if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
        RefuseName(entry, NearestWord(name, known_));
      }
    }
  }

 private:
  // nearest: the field that was meant; "" where none is like it.
  template <typename Entry>
  [[noreturn]] void RefuseName(const Entry& entry, const std::string& nearest) const {
    const bool from_outside = entry.second.Mark().is_null();
    throw Problem{absl::StrCat(Place(from_outside ? entry.second : entry.first, file_),
                               PathOf(entry.first.Scalar()), ": unknown field; ",
                               nearest.empty()
                                   ? absl::StrCat("wanted one of ", absl::StrJoin(known_, ", "))
                                   : absl::StrCat("did you mean \"", nearest, "\"?"))};
  }
  [[nodiscard]] std::string PathOf(const std::string& name) const {
    return path_.empty() ? name : absl::StrCat(path_, ".", name);
  }

  YAML::Node node_;
  std::string file_;
  std::string path_;
  std::vector<std::string> known_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_YAML_FIELDS_INTERNAL_H_
