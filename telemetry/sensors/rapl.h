// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Energy counters of x86 processors (powercap's intel-rapl, which AMD's driver also uses): packages
// plus their dram zones. core and uncore are parts of the package and are not added; the -mmio copy
// of a package does not count again. The source passes the counters on unchanged, with the value at
// which they wrap.
#ifndef WATTLE_TELEMETRY_SENSORS_RAPL_H_
#define WATTLE_TELEMETRY_SENSORS_RAPL_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One candidate on a machine with RAPL. The candidate is a problem with its remedy if only root may
// read energy_uj (kernels since 5.10).
std::vector<Candidate> DiscoverRapl(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_RAPL_H_
