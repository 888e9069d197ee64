// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NVIDIA's discrete GPUs by libnvidia-ml, which is loaded at run time and may be absent. Every call
// is optional, because some boards and old GPUs answer "not supported" (NVML API reference). The
// energy counter is used if there is one, because the power value of large GPUs samples only a
// quarter of the time. The scope "gpu" excludes processor, memory and board.
#ifndef WATTLE_TELEMETRY_SENSORS_NVML_H_
#define WATTLE_TELEMETRY_SENSORS_NVML_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source for all GPUs; none if the library or a GPU is absent; a problem if the library fails.
// In a tree the library is root/usr/lib/libnvidia-ml.so.1.
std::vector<Candidate> DiscoverNvml(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_NVML_H_
