// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Energy counters of x86 processors (powercap's intel-rapl; AMD uses the same name): packages plus
// their dram zones. core and uncore are inside the package and are not added; the -mmio copy of a
// package is counted once. The counters are passed on as they are, with the value at which they
// wrap.
#ifndef WATTLE_TELEMETRY_SENSORS_RAPL_H_
#define WATTLE_TELEMETRY_SENSORS_RAPL_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One candidate where there is RAPL. It is a problem where energy_uj may be read by root alone
// (kernels since 5.10); its text says how to change that.
std::vector<Candidate> DiscoverRapl(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_RAPL_H_
