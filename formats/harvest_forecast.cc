// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/harvest_forecast.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

#include "base/status_macros.h"

namespace wattle::formats {
namespace {

constexpr absl::string_view kHead = "time,watts";
constexpr int kHoursMax = 384;
constexpr size_t kShownMax = 40;
constexpr int64_t kHourMax = 1'000'000'000;  // "infinite-future" is a time too.

class Reader {
 public:
  Reader(absl::string_view text, absl::string_view file) : file_(file) {
    lines_ = absl::StrSplit(text, '\n');
    while (!lines_.empty() && absl::StripAsciiWhitespace(lines_.back()).empty()) {
      lines_.pop_back();
    }
  }

  absl::StatusOr<v1::HarvestForecast> Read() {
    if (lines_.empty() || absl::StripAsciiWhitespace(lines_[0]) != kHead) {
      return Error(0, "columns", lines_.empty() ? "" : lines_[0], kHead);
    }
    if (lines_.size() < 2 || lines_.size() > kHoursMax + 1) {
      return Error(lines_.size() - 1, "hours", absl::StrCat(lines_.size() - 1),
                   absl::StrCat("1 to ", kHoursMax));
    }
    v1::HarvestForecast forecast;
    for (size_t line = 1; line < lines_.size(); ++line) {
      WATTLE_RETURN_IF_ERROR(ReadHour(line, forecast));
    }
    return forecast;
  }

 private:
  [[nodiscard]] absl::Status Error(size_t line, absl::string_view field, absl::string_view value,
                                   absl::string_view wanted) const {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", line + 1, ": ", field, ": \"",
                     absl::CHexEscape(absl::StripAsciiWhitespace(value).substr(0, kShownMax)),
                     "\"; wanted ", wanted));
  }

  absl::Status ReadHour(size_t line, v1::HarvestForecast& forecast) {
    const std::vector<absl::string_view> cells = absl::StrSplit(lines_[line], ',');
    if (cells.size() != 2) {
      return Error(line, "line", lines_[line], "a time and a number of watts");
    }
    absl::Time time;
    std::string problem;
    if (!absl::ParseTime(absl::RFC3339_full, absl::StripAsciiWhitespace(cells[0]), &time,
                         &problem)) {
      return Error(line, "time", cells[0], "RFC 3339, for example 2026-11-26T12:00:00Z");
    }
    const int64_t hour = absl::ToInt64Hours(time - absl::UnixEpoch());
    if (time < absl::UnixEpoch() || hour > kHourMax ||
        absl::UnixEpoch() + absl::Hours(hour) != time) {
      return Error(line, "time", cells[0], "the begin of an hour, UTC");
    }
    if (line == 1) {
      first_hour_ = hour;
      forecast.set_first_hour_unix_seconds(static_cast<double>(absl::ToUnixSeconds(time)));
    }
    if (const int64_t next = first_hour_ + static_cast<int64_t>(line) - 1; hour != next) {
      return Error(
          line, "time", cells[0],
          absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::UnixEpoch() + absl::Hours(next),
                                        absl::UTCTimeZone()),
                       ", the hour after the one before, without a gap"));
    }
    double watts = 0;
    if (!absl::SimpleAtod(absl::StripAsciiWhitespace(cells[1]), &watts) || !std::isfinite(watts) ||
        watts < 0) {
      return Error(line, "watts", cells[1], "a number of watts, 0 or more");
    }
    forecast.add_power_watts(watts);
    return absl::OkStatus();
  }

  absl::string_view file_;
  std::vector<absl::string_view> lines_;
  int64_t first_hour_ = 0;
};

}  // namespace

absl::StatusOr<v1::HarvestForecast> ParseHarvestForecast(absl::string_view text,
                                                         absl::string_view file) {
  return Reader(text, file).Read();
}

}  // namespace wattle::formats
