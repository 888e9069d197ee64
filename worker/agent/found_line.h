// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The line of the worker's log about the board and its sensors. Pure.
#ifndef WATTLE_WORKER_AGENT_FOUND_LINE_H_
#define WATTLE_WORKER_AGENT_FOUND_LINE_H_

#include <string>
#include <vector>

#include "wattle/v1/device.pb.h"
#include "worker/agent/core/device_readings.h"

namespace wattle::agent {

// "found: Raspberry Pi 5 Model B (raspberry-pi-5, aarch64), 4 cores, 8.0 GiB; sensors: pmic
// (power), cpu-thermal (temperature); runner wattle-0.1.0/libtorch-1.13.1". A charge is given with
// its error. A sensor that cannot measure anything is left out: the log has a separate line for it.
std::string FoundLine(const v1::DeviceInfo& info, const std::vector<SourceStatus>& sensors);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_FOUND_LINE_H_
