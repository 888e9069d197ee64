// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The power mode in which work continues near a limit. Pure; thread-safe.
#ifndef WATTLE_WORKER_AGENT_CORE_LOWER_MODE_H_
#define WATTLE_WORKER_AGENT_CORE_LOWER_MODE_H_

#include <string>

#include "wattle/v1/device.pb.h"

namespace wattle::agent {

// The lowest of the board's modes below `mode`, or `mode` itself if there is none. A mode is lower
// if its nominal watts are. If a mode states no watts, it is lower if one of its clocks and core
// counts is lower and none is higher.
std::string LowestModeBelow(const v1::DeviceInfo& info, const std::string& mode);

// Upper bound of the factor by which a step takes longer in the mode `to`; at least 1.
double SlowerBy(const v1::DeviceInfo& info, const std::string& from, const std::string& to);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_LOWER_MODE_H_
