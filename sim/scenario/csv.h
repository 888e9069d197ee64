// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tables that a scenario names: the sun and a link by the hour, and a trace of arrivals. Pure;
// thread-safe. Errors are kInvalidArgument, one line with file, line, value and the expected form.
#ifndef WATTLE_SIM_SCENARIO_CSV_H_
#define WATTLE_SIM_SCENARIO_CSV_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "sim/scenario/scenario.h"

namespace wattle::sim {

// The sun on the panel.
struct SunFile {
  std::vector<double> hours;  // each a share of 1000 W/m2
  // The hours are of the local standard time of the place; otherwise they are of UTC.
  bool is_local_time = false;
  // The whole hours of local standard time by the file's longitude. Absent without a longitude.
  std::optional<double> utc_offset_hours;
};

// Three forms:
//   hour,w_per_m2     a line for each hour, from 0 on
//   PVGIS             a typical year, or a series of hours, UTC: the columns on the panel, which
//   are
//                     G(i), or Gb(i), Gd(i) and Gr(i); otherwise G(h)
//   PVWatts           8760 hours of the place's local standard time: Plane of Array Irradiance
// Errors also for night sun (of the first form, which has no times), kilowatts, gaps and malformed
// numbers.
absl::StatusOr<SunFile> ParseSun(absl::string_view text, absl::string_view file);

// The hours of UTC of a clock that is utc_offset_hours ahead of UTC. Hours before the first are
// those at the end, as of a typical year.
std::vector<double> InHoursOfUtc(const std::vector<double>& hours, double utc_offset_hours);

// The Mbit/s of a link by hour: `hour,mbit` and a line for each hour, from 0 on.
absl::StatusOr<std::vector<double>> ParseLink(absl::string_view text, absl::string_view file);

// Columns at_seconds and, if wanted, deadline_seconds (from submission), in order of time.
absl::StatusOr<std::vector<Arrival>> ParseArrivals(absl::string_view text, absl::string_view file);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_CSV_H_
