// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The board's thermal zones, each a channel; the hottest one counts. Zones that are off (empty,
// error, 0 or -256 °C) give no reading, and those whose value is a constant (PMIC-Die of Jetsons)
// are left out.
#ifndef WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_
#define WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source for all zones; none where there is no zone that counts.
std::vector<Candidate> DiscoverThermalZones(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_
