// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Single-channel power monitors by hwmon: INA219, 220, 226, 230, 231, 228, 237, 238 and 780 (the
// kernel's hwmon/ina2xx.rst and hwmon/ina238.rst). Boards without their own sensor get such a chip
// on their supply, so a single chip is taken for the board's input. With several chips the settings
// must say which chip is the board's, because the files do not show which chip includes the others;
// without settings each chip is only shown as a rail. If the chip counts energy (INA228, 780), the
// counter is used.
#ifndef WATTLE_TELEMETRY_SENSORS_INA2XX_H_
#define WATTLE_TELEMETRY_SENSORS_INA2XX_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

absl::Span<const Setting> Ina2xxSettings();

// entries: at most one for each chip, by its I2C device; an entry without `device` applies to every
// chip. An entry for a missing chip gives a candidate with a problem.
std::vector<Candidate> DiscoverIna2xx(const std::string& root,
                                      const std::vector<SourceSettings>& entries);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_INA2XX_H_
