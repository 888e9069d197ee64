// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A smart plug that supplies the device, asked by HTTP: Shelly of the first and of later
// generations, Tasmota. Only settings find it. The plug measures the mains, including the power
// supply's loss and everything else on the plug.
#ifndef WATTLE_TELEMETRY_SENSORS_SMART_PLUG_H_
#define WATTLE_TELEMETRY_SENSORS_SMART_PLUG_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

absl::Span<const Setting> SmartPlugSettings();

// One source for each entry, whether the plug is reachable or not. Poll keeps its deadline. Errors
// of Poll: kUnavailable (no answer, or another kind of answer), kPermissionDenied (the password),
// kDeadlineExceeded.
std::vector<Candidate> DiscoverSmartPlugs(const std::string& root,
                                          const std::vector<SourceSettings>& entries);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SMART_PLUG_H_
