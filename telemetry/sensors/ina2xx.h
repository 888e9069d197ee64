// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Single-channel power monitors by hwmon: INA219 and 220, INA226, 230 and 231, INA228, 237, 238 and
// 780 (hardware.md 6.1 in the design's fact sheet). Boards without a sensor of their own get one on
// their supply, so a single chip is taken for the board's input. Of several chips the settings must
// say which one that is: which of them holds the others cannot be seen, and without the settings
// each is shown as a rail alone. Where the chip counts energy (INA228, 780), the count is used.
#ifndef WATTLE_TELEMETRY_SENSORS_INA2XX_H_
#define WATTLE_TELEMETRY_SENSORS_INA2XX_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

absl::Span<const Setting> Ina2xxSettings();

// entries: at most one for each chip, by its I2C device; one without `device` speaks of every chip.
// An entry for a chip that is not there is a candidate with a problem.
std::vector<Candidate> DiscoverIna2xx(const std::string& root,
                                      const std::vector<SourceSettings>& entries);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_INA2XX_H_
