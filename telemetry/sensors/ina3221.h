// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Power rails of Jetson boards by INA3221 chips, in both layouts of NVIDIA's kernels: the hwmon
// driver `ina3221` of JetPack 5 and 6 (the kernel's hwmon/ina3221.rst), where power is inN_input
// [mV] × currN_input [mA], and the iio driver `ina3221x` of JetPack 4. All chips of a board are one
// source. The board's total is the rail VDD_IN or POM_5V_IN, which includes the other rails.
// Without such a rail the total is the sum of the rails that no other rail includes.
#ifndef WATTLE_TELEMETRY_SENSORS_INA3221_H_
#define WATTLE_TELEMETRY_SENSORS_INA3221_H_

#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

std::vector<Candidate> DiscoverIna3221(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_INA3221_H_
