// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A forecast of the sun as a CSV file: the head `time,watts`, then one line for each hour, in order
// and without gaps. A time is the hour's begin by RFC 3339, with its offset from UTC; watts are the
// hour's mean into each device's battery. Pure; thread-safe.
#ifndef WATTLE_FORMATS_HARVEST_FORECAST_H_
#define WATTLE_FORMATS_HARVEST_FORECAST_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/energy.pb.h"

namespace wattle::formats {

// The line of the first hour; each hour has its line behind the one before.
inline constexpr int kForecastFirstLine = 2;

// The hours of the forecast, without name and selector. file: for messages. Errors:
// kInvalidArgument, one line with file, line, value and what is wanted.
absl::StatusOr<v1::HarvestForecast> ParseHarvestForecast(absl::string_view text,
                                                         absl::string_view file);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_HARVEST_FORECAST_H_
