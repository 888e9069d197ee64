// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The file that --sensors names: what the operator says about sources. A YAML map with one list:
//   sensors:
//     - kind: ina2xx
//       device: 1-0040
//       position: output
// Each entry has a `kind`; telemetry/sensors says which kinds there are and what each takes.
#ifndef WATTLE_WORKER_AGENT_SENSOR_SETTINGS_H_
#define WATTLE_WORKER_AGENT_SENSOR_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "telemetry/sensors/settings.h"

namespace wattle::agent {

// Checked entries. kInvalidArgument names file, line and what is wanted there; kNotFound: no such
// file.
absl::StatusOr<std::vector<telemetry::SourceSettings>> ReadSensorSettings(const std::string& path);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_SENSOR_SETTINGS_H_
