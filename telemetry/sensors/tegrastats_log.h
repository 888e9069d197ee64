// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Replays a log of NVIDIA's tegrastats as if its board were this device: rails and temperatures,
// one line for each period. A recording is no measurement of this device, so its source is
// `emulated` and its scope "recorded". Use it to try policies and dashboards with a real board's
// trace.
#ifndef WATTLE_TELEMETRY_SENSORS_TEGRASTATS_LOG_H_
#define WATTLE_TELEMETRY_SENSORS_TEGRASTATS_LOG_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "units/quantity.h"

namespace wattle::telemetry {

struct TegrastatsLine {
  std::map<std::string, Watts> rails{};           // "VDD_IN", "POM_5V_GPU"
  std::map<std::string, Celsius> temperatures{};  // "CPU", "tj"
};

// Parses "… CPU@42C … VDD_IN 4239mW/4239mW …" of JetPack 5 and 6, or "POM_5V_IN 1372/1372" of
// JetPack 4. The first value of a rail is the present one. PMIC is a constant and left out. Errors:
// kInternal for a line without a rail.
absl::StatusOr<TegrastatsLine> ParseTegrastatsLine(absl::string_view line);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_TEGRASTATS_LOG_H_
