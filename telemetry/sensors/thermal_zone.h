// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The board's thermal zones, one channel each. A zone that is off (empty, error, 0 or -256 °C)
// gives no reading. Zones with a constant value (PMIC-Die of Jetsons) are left out.
#ifndef WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_
#define WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source for all zones; none if no zone remains.
std::vector<Candidate> DiscoverThermalZones(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_
