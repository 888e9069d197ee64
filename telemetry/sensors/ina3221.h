// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Jetson power rails by the INA3221's hwmon driver (JetPack 5 and 6; hardware.md 2.3 in the
// design's fact sheet): P = inN_input [mV] x currN_input [mA], for N in 1..3 and a rail label. The
// board's total is the rail VDD_IN or POM_5V_IN where there is one, for the other rails are inside
// it; else the sum of the rails that have no parent.
#ifndef WATTLE_TELEMETRY_SENSORS_INA3221_H_
#define WATTLE_TELEMETRY_SENSORS_INA3221_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "telemetry/sensors/sensor.h"

namespace wattle::telemetry {

struct Ina3221Rail {
  std::string label;         // "VDD_IN"
  std::string voltage_path;  // mV
  std::string current_path;  // mA, signed
};

// Every connected rail of every INA3221 under root ("" or a fixture), in order of label.
std::vector<Ina3221Rail> FindIna3221Rails(const std::string& root);

// The sensor of the board's total. kNotFound: no INA3221, or no rail of it is connected.
absl::StatusOr<std::unique_ptr<PowerSensor>> OpenIna3221(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_INA3221_H_
