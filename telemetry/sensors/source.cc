// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/source.h"

#include <algorithm>

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

}  // namespace wattle::telemetry
