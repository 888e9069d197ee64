// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/source.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace wattle::telemetry {

bool SourceInfo::measures_power() const {
  return std::any_of(channels.begin(), channels.end(),
                     [](const Channel& channel) { return channel.in_total; });
}

bool SourceInfo::has_gauge() const {
  return std::any_of(channels.begin(), channels.end(),
                     [](const Channel& channel) { return channel.gauge; });
}

bool SourceInfo::has_thermometer() const {
  return std::any_of(channels.begin(), channels.end(),
                     [](const Channel& channel) { return channel.thermometer; });
}

std::string EnergySourceName(v1::EnergySource source) {
  const std::string& name = v1::EnergySource_Name(source);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "ENERGY_SOURCE_"));
}

}  // namespace wattle::telemetry
