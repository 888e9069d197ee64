// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/schedule.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace wattle::policy {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);
// Each step moves to an opening or a closing of one window. Windows repeat daily, so a search that
// takes longer goes round in circles.
constexpr int kStepsMax = 2000;

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

absl::Time DayBegins(absl::Duration utc_offset, absl::Time now) {
  return absl::UnixEpoch() + absl::Floor(now + utc_offset - absl::UnixEpoch(), kDay) - utc_offset;
}

// When the window that is open at `now` closes; nullopt: it is closed.
std::optional<absl::Time> OpenUntil(const WindowLimit& limit, const DailyWindow& window,
                                    absl::Time now) {
  const absl::Duration length =
      window.end > window.begin ? window.end - window.begin : window.end + kDay - window.begin;
  const absl::Time today = DayBegins(limit.utc_offset, now) + window.begin;
  for (const absl::Time begin : {today, today - kDay}) {
    if (now >= begin && now < begin + length) {
      return begin + length;
    }
  }
  return std::nullopt;
}

// As OpenUntil, for all windows of a policy, which may follow each other.
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
  for (const DailyWindow& window : limit.windows) {
    const absl::Time today = DayBegins(limit.utc_offset, now) + window.begin;
    next = std::min(next, today > now ? today : today + kDay);
  }
  return next;
}

std::string Clock(absl::Duration since_midnight) {
  const auto minutes = static_cast<int>(since_midnight / absl::Minutes(1));
  return absl::StrFormat("%02d:%02d", minutes / 60, minutes % 60);
}

std::string Zone(absl::Duration utc_offset) {
  if (utc_offset == absl::ZeroDuration()) {
    return " UTC";
  }
  const bool behind = utc_offset < absl::ZeroDuration();
  return absl::StrCat(" UTC", behind ? "-" : "+", Clock(behind ? -utc_offset : utc_offset));
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
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text.substr(0, 40), "\": want two different times of day, such as 06:00-18:00"));
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
      absl::StrCat("\"", text.substr(0, 40),
                   "\": want a time of day, such as 07:00, or a moment, such "
                   "as 2026-12-01T06:00:00Z"));
}

bool ClockIsSet(absl::Time now) {
  return now >= absl::FromUnixSeconds(1'577'836'800);  // 2020
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

absl::Time ClosesAt(const std::vector<WindowLimit>& limits, absl::Time now) {
  absl::Time first = absl::InfiniteFuture();
  for (const WindowLimit& limit : limits) {
    absl::Time at = now;
    // Windows that follow each other are one.
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
  return (DayBegins(limit.utc_offset, now) + limit.utc_offset - absl::UnixEpoch()) / kDay;
}

absl::Time DayEnds(const BudgetLimit& limit, absl::Time now) {
  return DayBegins(limit.utc_offset, now) + kDay;
}

absl::Time AliveUntil(const AliveLimit& limit, absl::Time now) {
  if (!limit.until.time_of_day) {
    return limit.until.moment;
  }
  const absl::Time today = DayBegins(limit.utc_offset, now) + *limit.until.time_of_day;
  return today > now ? today : today + kDay;
}

std::string Describe(const WindowLimit& limit) {
  std::string text;
  for (const DailyWindow& window : limit.windows) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", Clock(window.begin), "-", Clock(window.end));
  }
  return text + Zone(limit.utc_offset);
}

std::string Describe(const AliveLimit& limit) {
  return limit.until.time_of_day
             ? Clock(*limit.until.time_of_day) + Zone(limit.utc_offset)
             : absl::FormatTime("%Y-%m-%d %H:%M UTC", limit.until.moment, absl::UTCTimeZone());
}

}  // namespace wattle::policy
