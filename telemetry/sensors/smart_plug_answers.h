// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Parses the JSON answers of smart plugs (shelly-api-docs.shelly.cloud; tasmota.github.io/docs). A
// plug that does not measure omits its fields, which is an error and never 0 W. Pure.
#ifndef WATTLE_TELEMETRY_SENSORS_SMART_PLUG_ANSWERS_H_
#define WATTLE_TELEMETRY_SENSORS_SMART_PLUG_ANSWERS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "units/quantity.h"

namespace wattle::telemetry {

struct PlugReading {
  Watts power{};
  // The plug's own counter, which restarts when the plug restarts or its owner clears it.
  std::optional<Joules> energy{};
};

// Errors of all functions: kInternal for a text that is not such a plug's JSON object; kUnavailable
// if the plug does not measure or says that its value is not valid.

// GET /shelly → 1 for the first generation, 2 and above for those with /rpc.
absl::StatusOr<int> ParseShellyGeneration(const std::string& json);
// GET /meter/N of a Shelly of the first generation. Its `total` is in watt-minutes.
absl::StatusOr<PlugReading> ParseShellyMeter(const std::string& json);
// GET /rpc/{Switch,PM1,EM1}.GetStatus of later generations. `aenergy.total` is in watt-hours; it is
// absent for EM1, whose power is `act_power`.
absl::StatusOr<PlugReading> ParseShellyStatus(const std::string& json);
// GET /cm?cmnd=Status 8 of Tasmota. `Total` is in kilowatt-hours. channel: the outlet, from 0; a
// plug with several outlets has lists of values.
absl::StatusOr<PlugReading> ParseTasmotaStatus(const std::string& json, size_t channel);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SMART_PLUG_ANSWERS_H_
