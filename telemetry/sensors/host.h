// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The operating system's figures besides power: load and frequency of processor and GPU, memory,
// pressure (PSI), bytes of disks and networks. Only metrics use them; no decision does. Figures
// that a kernel does not have are left out. Formats: the kernel's filesystems/proc.rst,
// accounting/psi.rst and admin-guide/iostats.rst.
#ifndef WATTLE_TELEMETRY_SENSORS_HOST_H_
#define WATTLE_TELEMETRY_SENSORS_HOST_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source; none if the tree has none of these files.
std::vector<Candidate> DiscoverHost(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_HOST_H_
