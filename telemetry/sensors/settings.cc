// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/settings.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "base/status_macros.h"

namespace wattle::telemetry {
namespace {

absl::Status CheckValue(const std::string& value, const Setting& setting) {
  if (setting.low < setting.high) {
    double number = NAN;
    // NaN compares false with everything.
    if (!absl::SimpleAtod(value, &number) || !(number >= setting.low && number <= setting.high)) {
      return absl::InvalidArgumentError(absl::StrCat(setting.name, ": \"", value,
                                                     "\", wanted a number from ", setting.low,
                                                     " to ", setting.high));
    }
    return absl::OkStatus();
  }
  const std::vector<std::string> choices = absl::StrSplit(setting.choices, '|', absl::SkipEmpty());
  if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(setting.name, ": \"", value, "\", wanted ", absl::StrJoin(choices, " or ")));
  }
  if (value.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(setting.name, ": is empty"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string SourceSettings::Text(const std::string& name, const std::string& otherwise) const {
  const auto value = values.find(name);
  return value == values.end() ? otherwise : value->second;
}

double SourceSettings::Number(const std::string& name, double otherwise) const {
  double number = otherwise;
  const auto value = values.find(name);
  return value != values.end() && absl::SimpleAtod(value->second, &number) ? number : otherwise;
}

absl::Status CheckEntry(const SourceSettings& entry, absl::Span<const Setting> known) {
  for (const auto& [name, value] : entry.values) {
    const auto* setting = std::find_if(
        known.begin(), known.end(), [&name = name](const auto& one) { return name == one.name; });
    if (setting == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": no such setting; there are ",
          absl::StrJoin(known, ", ",
                        [](std::string* out, const Setting& one) { out->append(one.name); })));
    }
    WATTLE_RETURN_IF_ERROR(CheckValue(value, *setting));
  }
  for (const Setting& setting : known) {
    if (setting.required && !entry.Has(setting.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(setting.name, ": is missing (", setting.meaning, ")"));
    }
  }
  return absl::OkStatus();
}

}  // namespace wattle::telemetry
