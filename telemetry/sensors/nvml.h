// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NVIDIA's discrete GPUs by libnvidia-ml, loaded at run time: absent is fine. Every call is
// optional, for boards and old GPUs answer "not supported" to some (hardware.md 7 in the design's
// fact sheet). The energy counter is used where there is one: on large GPUs the power value samples
// a quarter of the time only. The scope is "gpu": processor, memory and board are not in it.
#ifndef WATTLE_TELEMETRY_SENSORS_NVML_H_
#define WATTLE_TELEMETRY_SENSORS_NVML_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source for all GPUs; none where the library or a GPU is absent. A problem where the library
// is there and fails. root: in a tree the library is root/usr/lib/libnvidia-ml.so.1.
std::vector<Candidate> DiscoverNvml(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_NVML_H_
