// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernel's power_supply class: batteries and small UPSs of the system itself. Mice, headsets
// and USB-C ports are listed there too and are left out. Every attribute may be missing; the sign
// of current has three conventions, so the direction comes from `status` (hardware.md 5.2).
#ifndef WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_
#define WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "telemetry/sensors/sensor.h"

namespace wattle::telemetry {

// The first battery, by name. kNotFound: none.
absl::StatusOr<std::unique_ptr<BatteryGauge>> OpenPowerSupplyBattery(const std::string& root);

// The same battery's power, which is the device's only while it discharges: reading it while
// charging is kUnavailable. kNotFound: no battery, or one that tells neither power nor current.
absl::StatusOr<std::unique_ptr<PowerSensor>> OpenPowerSupplySensor(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_
