// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Energy counters of x86 processors (powercap's intel-rapl; AMD uses the same name): packages plus
// their dram zones. core and uncore are inside the package and are not added; the -mmio copy of a
// package is counted once. Undoes the wrap at max_energy_range_uj.
#ifndef WATTLE_TELEMETRY_SENSORS_RAPL_H_
#define WATTLE_TELEMETRY_SENSORS_RAPL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "telemetry/sensors/sensor.h"

namespace wattle::telemetry {

// kNotFound: no RAPL (a virtual machine, another architecture). kPermissionDenied: there is, but
// energy_uj may be read by root alone (kernels since 5.10); the message says how to change that.
absl::StatusOr<std::unique_ptr<PowerSensor>> OpenRapl(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_RAPL_H_
