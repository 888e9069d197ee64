// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/since.h"

#include <cstdint>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace wattle::cli {
namespace {

// "7d" → seven days. Zero for a text that is not a span.
absl::Duration ParseSpan(absl::string_view text) {
  int64_t count = 0;
  if (text.size() < 2 || text[0] == '+' ||
      !absl::SimpleAtoi(text.substr(0, text.size() - 1), &count) || count < 1 ||
      count > 1'000'000'000) {
    return absl::ZeroDuration();
  }
  switch (text.back()) {
    case 's':
      return absl::Seconds(count);
    case 'm':
      return absl::Minutes(count);
    case 'h':
      return absl::Hours(count);
    case 'd':
      return absl::Hours(24 * count);
    default:
      return absl::ZeroDuration();
  }
}

bool ParseDate(absl::string_view text, absl::Time* time) {
  const absl::TimeZone utc = absl::UTCTimeZone();
  for (const char* format : {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"}) {
    std::string ignored;
    if (absl::ParseTime(format, text, utc, time, &ignored)) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<absl::Time> ParseSince(absl::string_view text, absl::Time now) {
  if (const absl::Duration span = ParseSpan(text); span > absl::ZeroDuration()) {
    return now - span;
  }
  absl::Time time;
  if (text == "today") {
    return MidnightBefore(now);
  }
  if (!ParseDate(text, &time)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--since ", text,
                     ": wants a span (30m, 24h, 7d), today, or a date (2026-11-20, "
                     "2026-11-20T08:30; UTC)"));
  }
  if (time > now) {
    return absl::InvalidArgumentError(
        absl::StrCat("--since ", text, ": lies in the future; the clock says ",
                     absl::FormatTime("%Y-%m-%dT%H:%M", now, absl::UTCTimeZone()), " UTC"));
  }
  return time;
}

absl::Time MidnightBefore(absl::Time now) {
  return absl::FromCivil(absl::ToCivilDay(now, absl::UTCTimeZone()), absl::UTCTimeZone());
}

double UnixSeconds(absl::Time time) {
  return absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

}  // namespace wattle::cli
