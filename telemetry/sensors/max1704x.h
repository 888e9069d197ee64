// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fuel gauges MAX17040, 41, 43, 44, 48 and 49 of UPS HATs (the chips' data sheets), read over I2C
// if no kernel driver is bound; with the driver they are a power_supply. These gauges report
// voltage and percent, no current, and are read only if the settings name them, because another
// chip may have their address.
#ifndef WATTLE_TELEMETRY_SENSORS_MAX1704X_H_
#define WATTLE_TELEMETRY_SENSORS_MAX1704X_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One register of 16 bits, big-endian on the wire.
using ReadRegister = std::function<absl::StatusOr<uint16_t>(uint8_t number)>;

// A gauge whose registers `read` reads, for discovery and tests.
std::unique_ptr<Source> MakeMax1704x(const SourceSettings& entry, ReadRegister read);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_MAX1704X_H_
