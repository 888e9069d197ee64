// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whether a Jetson throttles: the cooling devices "…-throttle-alert" (JetPack 5 and 6), and on
// Orins the counters of under-voltage and over-current events. The counters grow at full load of
// the highest mode without harm, so they are only shown; the alerts alone mean "throttled".
#ifndef WATTLE_TELEMETRY_SENSORS_THROTTLE_ALERTS_H_
#define WATTLE_TELEMETRY_SENSORS_THROTTLE_ALERTS_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source for all alerts and counters; none if there are none.
std::vector<Candidate> DiscoverThrottleAlerts(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_THROTTLE_ALERTS_H_
