// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The file that --sensors names, with the operator's settings of sources. A YAML map with one list:
//   sensors:
//     - kind: ina2xx
//       device: 1-0040
//       position: output
// Each entry has a `kind`; telemetry/sensors defines the kinds and their settings.
#ifndef WATTLE_WORKER_AGENT_SENSOR_SETTINGS_H_
#define WATTLE_WORKER_AGENT_SENSOR_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "telemetry/sensors/settings.h"

namespace wattle::agent {

// Returns the checked entries. Errors: kInvalidArgument names file, line and the expected value;
// kNotFound: no such file.
absl::StatusOr<std::vector<telemetry::SourceSettings>> ReadSensorSettings(const std::string& path);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_SENSOR_SETTINGS_H_
