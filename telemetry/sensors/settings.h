// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What an operator says about sources that cannot be found by looking at the board (a smart plug, a
// UPS in the network), or whose readings need a fact that no file tells (the chemistry of a
// battery). Each entry names a kind of source and the settings that this kind takes. Every kind
// declares them in one table, by which entries are checked, so no source checks texts on its own.
#ifndef WATTLE_TELEMETRY_SENSORS_SETTINGS_H_
#define WATTLE_TELEMETRY_SENSORS_SETTINGS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace wattle::telemetry {

// One setting of a kind. A number where low < high; one of `choices` ("a|b") where those are given;
// else any text.
struct Setting {
  const char* name;
  const char* meaning;  // with the unit
  bool required = false;
  double low = 0;
  double high = 0;
  const char* choices = "";
};

// One entry: a kind and its settings as they were written.
struct SourceSettings {
  std::string kind{};
  std::map<std::string, std::string> values{};

  [[nodiscard]] bool Has(const std::string& name) const { return values.count(name) != 0; }
  // `otherwise` where the entry does not have the setting. Number: of a checked entry.
  [[nodiscard]] std::string Text(const std::string& name, const std::string& otherwise = "") const;
  [[nodiscard]] double Number(const std::string& name, double otherwise) const;
};

// kInvalidArgument: a setting is missing, is not one of `known`, or has a value that is none. The
// message names the setting and what is wanted.
absl::Status CheckEntry(const SourceSettings& entry, absl::Span<const Setting> known);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SETTINGS_H_
