// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads the fields of a YAML map by name, and says of a wrong one: file, line, value, and what is
// wanted. For scenario_file.cc, whose functions say which fields there are.
#ifndef WATTLE_SIM_SCENARIO_YAML_FIELDS_INTERNAL_H_
#define WATTLE_SIM_SCENARIO_YAML_FIELDS_INTERNAL_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <yaml-cpp/yaml.h>

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

void Check(const absl::Status& status);

// "1d 12h", "90m", "30s": numbers with units; a bare 0 too. Returns whether the text is a span.
bool ParseSpan(absl::string_view text, double& seconds);

// "FILE:LINE: " of a node.
std::string Place(const YAML::Node& node, const std::string& file);

// The fields of one map. A field that nobody asked for is a misspelling. `wanted` ends the error
// about a wrong value. Every function throws Problem.
class Fields {
 public:
  // path: of the map within the file, with dots; "" for the file's own.
  Fields(const YAML::Node& node, std::string file, std::string path);

  [[nodiscard]] const std::string& file() const { return file_; }
  // "FILE:LINE: " of the map.
  [[nodiscard]] std::string place() const { return Place(node_, file_); }
  bool Has(const std::string& name);
  // These two fail where the field is missing.
  YAML::Node Node(const std::string& name);
  std::string Text(const std::string& name);
  [[noreturn]] void Fail(const std::string& name, absl::string_view wanted) const;

  // The functions below answer `otherwise`, or nothing, where the field is missing.
  std::string Text(const std::string& name, const std::string& otherwise);
  // From `low` to `high`, as are the next two.
  double Number(const std::string& name, double low, double high, double otherwise,
                absl::string_view wanted);
  int Whole(const std::string& name, int low, int high, int otherwise, absl::string_view wanted);
  // Seconds.
  double Span(const std::string& name, double low, double high, double otherwise,
              absl::string_view wanted);
  // A single value with commas, or a list of values.
  std::vector<std::string> Texts(const std::string& name);
  std::vector<YAML::Node> List(const std::string& name);
  // Entries "name: {fields}".
  std::vector<std::pair<std::string, YAML::Node>> Map(const std::string& name);

  // Call it when every field was asked for.
  void RefuseTheRest() const;

 private:
  std::optional<YAML::Node> Find(const std::string& name);
  // The value that `parse` makes of the field's text.
  double Parsed(const std::string& name, bool (*parse)(absl::string_view text, double& value),
                std::pair<double, double> bounds, double otherwise, absl::string_view wanted);
  // nearest: the field that was meant; "" where none is like it.
  [[noreturn]] void RefuseName(const YAML::Node& key, const YAML::Node& value,
                               const std::string& nearest) const;
  [[nodiscard]] std::string PathOf(const std::string& name) const;

  YAML::Node node_;
  std::string file_;
  std::string path_;
  std::vector<std::string> known_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_YAML_FIELDS_INTERNAL_H_
