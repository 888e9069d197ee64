// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/schedule.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"

#include "base/utf8.h"

namespace wattle::policy {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);
// Each step moves to an opening or a closing of one window. Windows repeat daily, so a longer
// search would only cycle.
constexpr int kStepsMax = 2000;
// Most sets of limits that are tried to find a contradiction: all sets of nine limits.
constexpr int kSetsMax = 512;

std::optional<absl::Duration> ParseTimeOfDay(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  int hours = 0;
  int minutes = 0;
  const bool two_digits = parts.size() == 2 && parts[0].size() == 2 && parts[1].size() == 2;
  if (!two_digits || !absl::SimpleAtoi(parts[0], &hours) || !absl::SimpleAtoi(parts[1], &minutes) ||
      hours < 0 || minutes < 0 || minutes > 59 || hours > 24 || (hours == 24 && minutes > 0)) {
    return std::nullopt;
  }
  return absl::Hours(hours) + absl::Minutes(minutes);
}

// When the clocks go forward, a time of day is missing once a year, and the moment of the change
// replaces it. When they go back, a time of day occurs twice, and a window is open over both.
absl::Time FirstAt(absl::TimeZone zone, absl::CivilDay day, absl::Duration since_midnight) {
  const auto at = zone.At(absl::CivilSecond(day) + since_midnight / absl::Seconds(1));
  return at.kind == absl::TimeZone::TimeInfo::SKIPPED ? at.trans : at.pre;
}
absl::Time LastAt(absl::TimeZone zone, absl::CivilDay day, absl::Duration since_midnight) {
  const auto at = zone.At(absl::CivilSecond(day) + since_midnight / absl::Seconds(1));
  return at.kind == absl::TimeZone::TimeInfo::SKIPPED ? at.trans : at.post;
}

// When the window that is open at `now` closes; nullopt: it is closed.
std::optional<absl::Time> OpenUntil(const WindowLimit& limit, const DailyWindow& window,
                                    absl::Time now) {
  const absl::Duration end = window.end > window.begin ? window.end : window.end + kDay;
  const absl::CivilDay today = absl::ToCivilDay(now, limit.zone);
  for (const absl::CivilDay day : {today, today - 1}) {
    const absl::Time until = LastAt(limit.zone, day, end);
    if (now >= FirstAt(limit.zone, day, window.begin) && now < until) {
      return until;
    }
  }
  return std::nullopt;
}

// OpenUntil for all windows of a policy, which may follow each other.
std::optional<absl::Time> OpenUntil(const WindowLimit& limit, absl::Time now) {
  std::optional<absl::Time> until;
  for (const DailyWindow& window : limit.windows) {
    if (const auto one = OpenUntil(limit, window, now)) {
      until = std::max(until.value_or(*one), *one);
    }
  }
  return until;
}

absl::Time NextBegin(const WindowLimit& limit, absl::Time now) {
  absl::Time next = absl::InfiniteFuture();
  const absl::CivilDay today = absl::ToCivilDay(now, limit.zone);
  for (const DailyWindow& window : limit.windows) {
    const absl::Time begin = FirstAt(limit.zone, today, window.begin);
    next = std::min(next, begin > now ? begin : FirstAt(limit.zone, today + 1, window.begin));
  }
  return next;
}

std::string Clock(absl::Duration since_midnight) {
  const auto minutes = static_cast<int>(since_midnight / absl::Minutes(1));
  return absl::StrFormat("%02d:%02d", minutes / 60, minutes % 60);
}

constexpr char kFixed[] = "Fixed/UTC";

bool IsZoneName(absl::string_view name) {
  return name != "localtime" && absl::ascii_isalpha(static_cast<unsigned char>(name.front())) &&
         !absl::StartsWith(name, kFixed) && !absl::StrContains(name, "..") &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '/' || c == '_' || c == '+' || c == '-';
         });
}

}  // namespace

absl::StatusOr<DailyWindow> ParseDailyWindow(absl::string_view text) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, '-');
  if (ends.size() == 2) {
    const auto begin = ParseTimeOfDay(ends[0]);
    const auto end = ParseTimeOfDay(ends[1]);
    if (begin && end && *begin < kDay && *begin != *end) {
      return DailyWindow{*begin, *end};
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", OneLine(text.substr(0, 40)),
                   "\": want two different times of day, such as 06:00-18:00"));
}

absl::StatusOr<absl::TimeZone> ParseZone(absl::string_view time_zone, int utc_offset_minutes) {
  if (time_zone.empty()) {
    return absl::FixedTimeZone(60 * utc_offset_minutes);
  }
  if (utc_offset_minutes != 0) {
    return absl::InvalidArgumentError(
        "time_zone and utc_offset_minutes are given: want one of them");
  }
  absl::TimeZone zone;
  if (!IsZoneName(time_zone) || !absl::LoadTimeZone(time_zone, &zone)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "time_zone: \"", OneLine(time_zone.substr(0, 40)),
        "\": this machine knows no such zone; want a name such as Europe/Berlin (`timedatectl "
        "list-timezones` lists them), and the package tzdata"));
  }
  return zone;
}

std::string Describe(absl::TimeZone zone) {
  const std::string name = zone.name();
  if (name == "UTC" || !absl::StartsWith(name, kFixed)) {
    return " " + name;
  }
  const absl::Duration offset = absl::Seconds(zone.At(absl::UnixEpoch()).offset);
  const bool behind = offset < absl::ZeroDuration();
  return absl::StrCat(" UTC", behind ? "-" : "+", Clock(behind ? -offset : offset));
}

absl::StatusOr<AliveTime> ParseAliveTime(absl::string_view text) {
  if (const auto time_of_day = ParseTimeOfDay(text); time_of_day && *time_of_day < kDay) {
    return AliveTime{.time_of_day = time_of_day};
  }
  AliveTime alive;
  std::string ignored;
  if (absl::ParseTime(absl::RFC3339_full, text, &alive.moment, &ignored) &&
      alive.moment != absl::InfiniteFuture() && alive.moment != absl::InfinitePast()) {
    return alive;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", OneLine(text.substr(0, 40)),
                   "\": want a time of day, such as 07:00, or a moment, such "
                   "as 2026-12-01T06:00:00Z"));
}

absl::Time OpensAt(const std::vector<WindowLimit>& limits, absl::Time now) {
  absl::Time at = now;
  for (int step = 0; step < kStepsMax; ++step) {
    const auto closed = std::find_if(limits.begin(), limits.end(), [at](const WindowLimit& limit) {
      return !OpenUntil(limit, at);
    });
    if (closed == limits.end()) {
      return at;
    }
    at = NextBegin(*closed, at);
  }
  return absl::InfiniteFuture();
}

std::vector<WindowLimit> FewestNeverOpen(const std::vector<WindowLimit>& limits, absl::Time now) {
  int sets = 0;
  for (size_t size = 1; size < limits.size(); ++size) {
    std::vector<bool> is_in(limits.size(), false);
    std::fill_n(is_in.begin(), size, true);
    do {
      std::vector<WindowLimit> some;
      for (size_t i = 0; i < limits.size(); ++i) {
        if (is_in[i]) {
          some.push_back(limits[i]);
        }
      }
      if (OpensAt(some, now) == absl::InfiniteFuture()) {
        return some;
      }
      if (++sets == kSetsMax) {
        return limits;
      }
    } while (std::prev_permutation(is_in.begin(), is_in.end()));
  }
  return limits;
}

std::string DescribeNeverOpen(const std::vector<WindowLimit>& limits, absl::Time now) {
  const auto words = [](std::string* out, const WindowLimit& limit) {
    absl::StrAppend(out, limit.policy, " (", Describe(limit), ")");
  };
  return absl::StrCat("the windows of the policies ",
                      absl::StrJoin(FewestNeverOpen(limits, now), " and ", words),
                      " have no time in common; change one of them");
}

absl::Time ClosesAt(const std::vector<WindowLimit>& limits, absl::Time now) {
  absl::Time first = absl::InfiniteFuture();
  for (const WindowLimit& limit : limits) {
    absl::Time at = now;
    // Adjacent windows are one window.
    for (int step = 0; step < kStepsMax; ++step) {
      const auto until = OpenUntil(limit, at);
      if (!until) {
        break;
      }
      at = *until;
      if (at - now > 2 * kDay) {
        at = absl::InfiniteFuture();
        break;
      }
    }
    first = std::min(first, at);
  }
  return first;
}

int64_t DayOf(const BudgetLimit& limit, absl::Time now) {
  return absl::ToCivilDay(now, limit.zone) - absl::CivilDay(1970, 1, 1);
}

absl::Time DayEnds(const BudgetLimit& limit, absl::Time now) {
  return FirstAt(limit.zone, absl::ToCivilDay(now, limit.zone) + 1, absl::ZeroDuration());
}

absl::Time AliveUntil(const AliveLimit& limit, absl::Time now) {
  if (!limit.until.time_of_day) {
    return limit.until.moment;
  }
  const absl::CivilDay today = absl::ToCivilDay(now, limit.zone);
  const absl::Time until = LastAt(limit.zone, today, *limit.until.time_of_day);
  return until > now ? until : LastAt(limit.zone, today + 1, *limit.until.time_of_day);
}

std::string Describe(const WindowLimit& limit) {
  std::string text;
  for (const DailyWindow& window : limit.windows) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", Clock(window.begin), "-", Clock(window.end));
  }
  return text + Describe(limit.zone);
}

std::string Describe(const AliveLimit& limit) {
  return limit.until.time_of_day
             ? Clock(*limit.until.time_of_day) + Describe(limit.zone)
             : absl::FormatTime("%Y-%m-%d %H:%M UTC", limit.until.moment, absl::UTCTimeZone());
}

}  // namespace wattle::policy
