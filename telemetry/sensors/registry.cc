// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/registry.h"

#include <utility>

#include "absl/status/statusor.h"

#include "telemetry/sensors/ina3221.h"
#include "telemetry/sensors/power_supply.h"
#include "telemetry/sensors/rapl.h"
#include "telemetry/sensors/thermal_zone.h"

namespace wattle::telemetry {
namespace {

template <typename Sensor>
void Take(absl::StatusOr<std::unique_ptr<Sensor>> opened, std::unique_ptr<Sensor>* place,
          SensorSet* set) {
  if (opened.ok()) {
    if (*place == nullptr) {
      *place = *std::move(opened);
    }
  } else if (!absl::IsNotFound(opened.status())) {
    set->problems.emplace_back(opened.status().message());
  }
}

}  // namespace

const char* EnergySourceName(EnergySource source) {
  switch (source) {
    case EnergySource::kIna3221:
      return "ina3221";
    case EnergySource::kPmic:
      return "pmic";
    case EnergySource::kPowerSupply:
      return "power_supply";
    case EnergySource::kRapl:
      return "rapl";
    case EnergySource::kIna2xx:
      return "ina2xx";
    case EnergySource::kSmartPlug:
      return "smart_plug";
    case EnergySource::kNvml:
      return "nvml";
    case EnergySource::kModel:
      return "model";
    case EnergySource::kEmulated:
      return "emulated";
  }
  return "unknown";
}

SensorSet DiscoverSensors(const std::string& root) {
  SensorSet set;
  Take(OpenIna3221(root), &set.power, &set);
  // A battery's power is the device's only while it discharges; a processor's counter always runs.
  auto battery = OpenPowerSupplySensor(root);
  if (battery.ok() && (*battery)->Read(Monotonic()).ok()) {
    Take(std::move(battery), &set.power, &set);
  }
  Take(OpenRapl(root), &set.power, &set);
  Take(OpenPowerSupplySensor(root), &set.power, &set);
  Take(OpenThermalZones(root), &set.temperature, &set);
  Take(OpenPowerSupplyBattery(root), &set.battery, &set);
  return set;
}

}  // namespace wattle::telemetry
