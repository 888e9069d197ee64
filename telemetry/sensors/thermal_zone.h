// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The hottest of the board's thermal zones. Zones that are off (empty, error, 0 or -256 °C) and
// those whose value is a constant (PMIC-Die of Jetsons) are left out.
#ifndef WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_
#define WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "telemetry/sensors/sensor.h"

namespace wattle::telemetry {

// kNotFound: no zone that counts.
absl::StatusOr<std::unique_ptr<Thermometer>> OpenThermalZones(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_THERMAL_ZONE_H_
