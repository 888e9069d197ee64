// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernel's power_supply class (ABI/testing/sysfs-class-power): batteries and small UPSs of the
// system itself. The class also lists mice, headsets and USB-C ports, which are left out. Every
// attribute may be missing. The sign of the current has three conventions, so the direction comes
// from `status`.
#ifndef WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_
#define WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source for each battery. Its charge is always a reading. Its power is a reading, and the
// device's power, only while the battery discharges.
// entries: the chemistry of batteries that report voltage and no charge; an entry without `name`
// applies to every battery. A charge that the battery reports itself takes precedence.
std::vector<Candidate> DiscoverPowerSupplies(const std::string& root,
                                             const std::vector<SourceSettings>& entries = {});

absl::Span<const Setting> PowerSupplySettings();

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_
