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
#include "base/utf8.h"

namespace wattle::formats {
namespace {

constexpr absl::string_view kHead = "time,watts";
constexpr int kHoursMax = 384;
constexpr size_t kShownMax = 40;
constexpr int64_t kHourMax = 1'000'000'000;  // "infinite-future" is a time too.

absl::Time FloorToHour(absl::Time time) {
  return absl::UnixEpoch() + absl::Floor(time - absl::UnixEpoch(), absl::Hours(1));
}

class Reader {
 public:
  Reader(absl::string_view text, absl::string_view file) : file_(file) {
    lines_ = absl::StrSplit(WithoutByteOrderMark(text), '\n');
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
    std::vector<double> watts;
    for (size_t line = 1; line < lines_.size(); ++line) {
      WATTLE_RETURN_IF_ERROR(ReadHour(line, watts));
    }
    return InHoursOfUtc(watts);
  }

 private:
  [[nodiscard]] absl::Status Error(size_t line, absl::string_view field, absl::string_view value,
                                   absl::string_view wanted) const {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", line + 1, ": ", field, ": \"",
                     absl::CHexEscape(absl::StripAsciiWhitespace(value).substr(0, kShownMax)),
                     "\"; wanted ", wanted));
  }

  absl::Status ReadHour(size_t line, std::vector<double>& watts) {
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
    if (time < absl::UnixEpoch() || time > absl::UnixEpoch() + absl::Hours(kHourMax) ||
        !BeginsAnHour(time, cells[0])) {
      return Error(line, "time", cells[0], "the start of an hour, UTC or of the time's own offset");
    }
    if (line == 1) {
      first_ = time;
    }
    if (const absl::Time next = first_ + absl::Hours(static_cast<int64_t>(line) - 1);
        time != next) {
      return Error(line, "time", cells[0],
                   absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", next, absl::UTCTimeZone()),
                                ", the hour after the one before, without a gap"));
    }
    double mean = 0;
    if (!absl::SimpleAtod(absl::StripAsciiWhitespace(cells[1]), &mean) || !std::isfinite(mean) ||
        mean < 0) {
      return Error(line, "watts", cells[1], "a number of watts, 0 or more");
    }
    watts.push_back(mean);
    return absl::OkStatus();
  }

  // In India, Nepal and parts of Australia a whole hour of the local clock is none of UTC.
  static bool BeginsAnHour(absl::Time time, absl::string_view cell) {
    const size_t minutes = cell.find(':');
    return FloorToHour(time) == time ||
           (minutes != absl::string_view::npos && cell.substr(minutes, 6) == ":00:00");
  }

  // Each hour of the file gives its energy to the two hours of UTC in which it lies, by the time in
  // each. What the file leaves open of the first and the last hour of UTC counts as without sun.
  [[nodiscard]] v1::HarvestForecast InHoursOfUtc(const std::vector<double>& watts) const {
    const absl::Time begin = FloorToHour(first_);
    const double later = absl::FDivDuration(first_ - begin, absl::Hours(1));
    v1::HarvestForecast forecast;
    forecast.set_first_hour_unix_seconds(static_cast<double>(absl::ToUnixSeconds(begin)));
    double carried = 0;
    for (const double mean : watts) {
      forecast.add_power_watts(carried + (1 - later) * mean);
      carried = later * mean;
    }
    if (later > 0 && forecast.power_watts_size() < kHoursMax) {
      forecast.add_power_watts(carried);
    }
    return forecast;
  }

  absl::string_view file_;
  std::vector<absl::string_view> lines_;
  absl::Time first_;
};

}  // namespace

absl::StatusOr<v1::HarvestForecast> ParseHarvestForecast(absl::string_view text,
                                                         absl::string_view file) {
  return Reader(text, file).Read();
}

}  // namespace wattle::formats
