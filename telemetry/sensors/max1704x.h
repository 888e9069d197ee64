// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fuel gauges MAX17040, 41, 43, 44, 48 and 49 of UPS HATs (hardware.md 5.3 in the design's fact
// sheet), read over I2C where the kernel's driver is not bound (with the driver they are a
// power_supply). They tell voltage and percent, no current. Found by settings alone: another chip
// may sit at their address.
#ifndef WATTLE_TELEMETRY_SENSORS_MAX1704X_H_
#define WATTLE_TELEMETRY_SENSORS_MAX1704X_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One register of 16 bits, big-endian on the wire.
using ReadRegister = std::function<absl::StatusOr<uint16_t>(uint8_t number)>;

absl::Span<const Setting> Max1704xSettings();

// A gauge behind `read`, for discovery and tests.
std::unique_ptr<Source> MakeMax1704x(const SourceSettings& entry, ReadRegister read);

// One source for each entry. Its Poll answers kNotFound (no such bus), kPermissionDenied with the
// remedy, kUnavailable (no chip answers, no battery), kInternal (values of another chip). In a
// recorded tree the registers lie in root/i2c/BUS-0036/NUMBER, both hexadecimal.
std::vector<Candidate> DiscoverMax1704x(const std::string& root,
                                        const std::vector<SourceSettings>& entries);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_MAX1704X_H_
