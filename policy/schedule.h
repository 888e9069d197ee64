// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Policies and the time of day: windows in which work may run, the day of an energy budget, until
// when a battery must keep the device alive. Times are wall time. A policy's own time is UTC plus
// its offset, or that of a place with its daylight saving time: a window from 20:00 to 06:00 lasts
// an hour longer in the night in which the clocks go back. Pure except for the rules of a place,
// which come from the system's time zone database; thread-safe.
#ifndef WATTLE_POLICY_SCHEDULE_H_
#define WATTLE_POLICY_SCHEDULE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "units/quantity.h"

namespace wattle::policy {

// From `begin` to `end` of each day, since 00:00; end <= begin: over midnight.
struct DailyWindow {
  absl::Duration begin{};
  absl::Duration end{};
};

// A time of day, or one moment.
struct AliveTime {
  std::optional<absl::Duration> time_of_day{};
  absl::Time moment{};  // without time_of_day
};

// "06:30-18:00"; the end may be 24:00. kInvalidArgument.
absl::StatusOr<DailyWindow> ParseDailyWindow(absl::string_view text);
// "07:00" or "2026-12-01T06:00:00Z". kInvalidArgument.
absl::StatusOr<AliveTime> ParseAliveTime(absl::string_view text);

// The zone of a policy's times of day. time_zone: a name of the IANA database, such as
// "Europe/Berlin"; empty: the offset counts. kInvalidArgument: both are given, or this machine does
// not have the zone.
absl::StatusOr<absl::TimeZone> ParseZone(absl::string_view time_zone, int utc_offset_minutes);
// " UTC", " UTC+02:00", " Europe/Berlin": the text after a time of day, for people.
std::string Describe(absl::TimeZone zone);

struct WindowLimit {
  std::vector<DailyWindow> windows{};
  absl::TimeZone zone{};  // UTC by default
  std::string policy{};
};
struct BudgetLimit {
  Joules per_day{};
  absl::TimeZone zone{};
  std::string policy{};
};
struct AliveLimit {
  AliveTime until{};
  absl::TimeZone zone{};
  std::string policy{};
};

// When work may run next, in a window of every limit: `now` itself while all are open.
// InfiniteFuture: the windows have no time in common.
absl::Time OpensAt(const std::vector<WindowLimit>& limits, absl::Time now);
// For limits whose windows have no time in common: the smallest subset that has none either. For
// very many limits it may be all.
std::vector<WindowLimit> FewestNeverOpen(const std::vector<WindowLimit>& limits, absl::Time now);
// FewestNeverOpen as a text for people, with the policies and their windows, and the remedy.
std::string DescribeNeverOpen(const std::vector<WindowLimit>& limits, absl::Time now);
// REQUIRES: open at `now`. When the first window closes; InfiniteFuture: they never do.
absl::Time ClosesAt(const std::vector<WindowLimit>& limits, absl::Time now);

// Days since 1970 in the policy's time, and the end of the present day.
int64_t DayOf(const BudgetLimit& limit, absl::Time now);
absl::Time DayEnds(const BudgetLimit& limit, absl::Time now);

// The moment until which the device must live; in the past if the demand is over.
absl::Time AliveUntil(const AliveLimit& limit, absl::Time now);

// "06:00-18:00 UTC+2" for people.
std::string Describe(const WindowLimit& limit);
std::string Describe(const AliveLimit& limit);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_SCHEDULE_H_
