// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the operating system tells of this machine besides power: load and frequency of processor
// and GPU, memory, pressure (PSI), bytes of disks and networks. For metrics alone; nothing is
// decided by them. What a kernel does not tell is left out (hardware.md 3.4 and 9 in the design's
// fact sheet).
#ifndef WATTLE_TELEMETRY_SENSORS_HOST_H_
#define WATTLE_TELEMETRY_SENSORS_HOST_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source; none where the tree tells nothing of these.
std::vector<Candidate> DiscoverHost(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_HOST_H_
