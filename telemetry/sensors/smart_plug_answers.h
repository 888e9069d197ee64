// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What smart plugs answer (hardware.md 6.2 in the design's fact sheet), as JSON texts. A plug that
// does not measure leaves its fields out: that is an error here, and never 0 W. Pure.
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
  // The plug's own counter: begins again when the plug restarts or its owner clears it.
  std::optional<Joules> energy{};
};

// All: kInternal: not the JSON object that such a plug answers; kUnavailable: the plug does not
// measure, or says that its value is not valid.

// GET /shelly → 1 for the first generation, 2 and above for those with /rpc.
absl::StatusOr<int> ParseShellyGeneration(const std::string& json);
// GET /meter/N of a Shelly of the first generation. Its `total` is in watt-minutes.
absl::StatusOr<PlugReading> ParseShellyMeter(const std::string& json);
// GET /rpc/{Switch,PM1,EM1}.GetStatus of later generations. `aenergy.total` is in watt-hours; it is
// absent for EM1, whose power is `act_power`.
absl::StatusOr<PlugReading> ParseShellyStatus(const std::string& json);
// GET /cm?cmnd=Status 8 of Tasmota. `Total` is in kilowatt-hours. channel: from 0, of plugs with
// several outlets, whose figures are lists.
absl::StatusOr<PlugReading> ParseTasmotaStatus(const std::string& json, size_t channel);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SMART_PLUG_ANSWERS_H_
