// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A smart plug that the device hangs on, asked by HTTP: Shelly of the first and of later
// generations, Tasmota. Found by settings alone. What it measures is the mains: the power supply's
// loss is in it, and everything else that hangs on the plug.
#ifndef WATTLE_TELEMETRY_SENSORS_SMART_PLUG_H_
#define WATTLE_TELEMETRY_SENSORS_SMART_PLUG_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

absl::Span<const Setting> SmartPlugSettings();

// One source for each entry, reachable or not. Its Poll answers within the deadline: kUnavailable
// (no answer, or an answer of another kind), kPermissionDenied (the password), kDeadlineExceeded.
std::vector<Candidate> DiscoverSmartPlugs(const std::string& root,
                                          const std::vector<SourceSettings>& entries);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SMART_PLUG_H_
