// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A forecast of sunlight as a CSV file: the header `time,watts`, then one line per hour, in order
// and without gaps. A time is the start of the hour in RFC 3339 with its offset from UTC; watts are
// the hour's mean power into each device's battery. Hours of a clock that is a part of an hour away
// from UTC are split into those of UTC. Pure; thread-safe.
#ifndef WATTLE_FORMATS_HARVEST_FORECAST_H_
#define WATTLE_FORMATS_HARVEST_FORECAST_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/energy.pb.h"

namespace wattle::formats {

// The line number of the first hour; the other hours follow, one line each.
inline constexpr int kForecastFirstLine = 2;

// The hours of the forecast, without name and selector. file: for messages. Errors:
// kInvalidArgument, one line with file, line, value and the expected form.
absl::StatusOr<v1::HarvestForecast> ParseHarvestForecast(absl::string_view text,
                                                         absl::string_view file);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_HARVEST_FORECAST_H_
