// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The operator's settings of sources that discovery cannot find (a smart plug, a UPS in the
// network), or whose readings need a fact that no file has (the chemistry of a battery). Each entry
// names a kind of source and its settings. Every kind declares its settings in one table.
// CheckEntry checks entries by these tables, so that no source checks texts itself.
#ifndef WATTLE_TELEMETRY_SENSORS_SETTINGS_H_
#define WATTLE_TELEMETRY_SENSORS_SETTINGS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace wattle::telemetry {

// One setting of a kind. With low < high the value is a number in this range; with choices ("a|b")
// one of the choices; else any text.
struct Setting {
  const char* name = "";
  const char* meaning = "";  // with the unit
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
  // The setting's value, or `otherwise` if the entry does not have the setting. REQUIRES for
  // Number: the entry is checked.
  [[nodiscard]] std::string Text(const std::string& name, const std::string& otherwise = "") const;
  [[nodiscard]] double Number(const std::string& name, double otherwise) const;
};

// Errors: kInvalidArgument for a setting that is missing, not one of `known`, or invalid. The
// message names the setting and the valid values.
absl::Status CheckEntry(const SourceSettings& entry, absl::Span<const Setting> known);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SETTINGS_H_
