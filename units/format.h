// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Quantities as people read them, in tables, receipts and messages. The unit is always shown and
// depends on the size: small energies are written in joules, because 0.04 Wh would be hard to read.
#ifndef WATTLE_UNITS_FORMAT_H_
#define WATTLE_UNITS_FORMAT_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

#include "units/quantity.h"

namespace wattle {

// "143.2 J", from 1 Wh on "57.82 Wh", "410.0 Wh", "41.00 kWh": about four digits, no more.
std::string FormatEnergy(Joules energy);
std::string FormatPower(Watts power);            // "14.29 W"
std::string FormatElapsed(absl::Duration time);  // "4 h 02 min", "12 min 05 s", "8.3 s", "41 ms"
std::string FormatBytes(int64_t size_bytes);     // "1.5 GiB"
std::string FormatPercent(Fraction fraction);    // "42 %"
std::string FormatTemperature(Celsius temperature);  // "35.4 °C"

}  // namespace wattle

#endif  // WATTLE_UNITS_FORMAT_H_
