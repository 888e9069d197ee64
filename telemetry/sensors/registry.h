// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which sensors this board has. A new source is a file beside this one and a line in registry.cc.
#ifndef WATTLE_TELEMETRY_SENSORS_REGISTRY_H_
#define WATTLE_TELEMETRY_SENSORS_REGISTRY_H_

#include <memory>
#include <string>
#include <vector>

#include "telemetry/sensors/sensor.h"

namespace wattle::telemetry {

struct SensorSet {
  std::unique_ptr<PowerSensor> power;        // the board's total; null: none
  std::unique_ptr<Thermometer> temperature;  // null: none
  std::unique_ptr<BatteryGauge> battery;     // null: none
  // What is there but cannot be used, one line each with the remedy. What a board merely lacks is
  // not named.
  std::vector<std::string> problems;
};

// root: "" for this machine, a directory with a copied file tree in tests. Prefers what covers most
// of the board: INA3221, then the battery if it discharges now, then RAPL.
SensorSet DiscoverSensors(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_REGISTRY_H_
