// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernel's pressure stall information (Documentation/accounting/psi.rst): for how long programs
// waited for memory, processor or disk. Thread-safe.
#ifndef WATTLE_TELEMETRY_SENSORS_PRESSURE_H_
#define WATTLE_TELEMETRY_SENSORS_PRESSURE_H_

#include <optional>
#include <string>

#include "absl/time/time.h"

namespace wattle::telemetry {

// The stalled time since boot. root: root of the file system, "" for this machine. resource: "cpu",
// "memory" or "io". kind: "some" (at least one program waited) or "full" (all of them did).
// nullopt: the kernel does not report it.
std::optional<absl::Duration> StalledTime(const std::string& root, const std::string& resource,
                                          const std::string& kind);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_PRESSURE_H_
