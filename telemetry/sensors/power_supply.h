// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernel's power_supply class: batteries and small UPSs of the system itself. Mice, headsets
// and USB-C ports are listed there too and are left out. Every attribute may be missing; the sign
// of current has three conventions, so the direction comes from `status` (hardware.md 5.2).
#ifndef WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_
#define WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// One source for each battery. Its charge is a reading at any time; its power is the device's, and
// a reading, only while it discharges.
// entries: the chemistry of batteries that tell their voltage and no charge; an entry without
// `name` speaks of every battery. Where the battery tells its charge itself, that is used.
std::vector<Candidate> DiscoverPowerSupplies(const std::string& root,
                                             const std::vector<SourceSettings>& entries = {});

absl::Span<const Setting> PowerSupplySettings();

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_POWER_SUPPLY_H_
