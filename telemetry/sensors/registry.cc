// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/registry.h"

#include <iterator>
#include <utility>

#include "telemetry/sensors/ina3221.h"
#include "telemetry/sensors/power_supply.h"
#include "telemetry/sensors/rapl.h"
#include "telemetry/sensors/thermal_zone.h"

namespace wattle::telemetry {

absl::Span<const SourceKind> AllSourceKinds() {
  static constexpr SourceKind kKinds[] = {
      {"ina3221", DiscoverIna3221},
      {"power_supply", DiscoverPowerSupplies},
      {"rapl", DiscoverRapl},
      {"thermal_zone", DiscoverThermalZones},
  };
  return kKinds;
}

std::vector<Candidate> DiscoverSources(const std::string& root) {
  std::vector<Candidate> all;
  for (const SourceKind& kind : AllSourceKinds()) {
    std::vector<Candidate> found = kind.discover(root);
    std::move(found.begin(), found.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace wattle::telemetry
