// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The power mode in which work goes on where a limit is near. Pure; thread-safe.
#ifndef WATTLE_WORKER_AGENT_CORE_LOWER_MODE_H_
#define WATTLE_WORKER_AGENT_CORE_LOWER_MODE_H_

#include <string>

#include "wattle/v1/device.pb.h"

namespace wattle::agent {

// The lowest of the board's modes below `mode`; `mode` itself where none is. A mode is lower by its
// nominal watts, and where one of both names none, by clocks and cores of which none is higher.
std::string LowestModeBelow(const v1::DeviceInfo& info, const std::string& mode);

// By how much longer a step may take in the mode `to`, at most; at least 1.
double SlowerBy(const v1::DeviceInfo& info, const std::string& from, const std::string& to);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_LOWER_MODE_H_
