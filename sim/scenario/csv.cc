// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/csv.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "base/status_macros.h"
#include "base/utf8.h"

namespace wattle::sim {
namespace {

// Above the atmosphere the sun gives 1361 W/m2, and nearby clouds add a little for minutes.
constexpr double kSunMax = 1500.0;
// A file whose brightest hour is below this is in kW/m2.
constexpr double kBrightestMin = 20.0;
// Largest share of a day's brightest hour that its darkest hour may have.
constexpr double kNightShare = 0.05;
constexpr double kFullSun = 1000.0;
constexpr double kLinkMbitMax = 1e5;
constexpr size_t kShownMax = 40;
constexpr double kDegreesOfZone = 15.0;
constexpr double kLongitudeMax = 180.0;
// The column of PVWatts, whose unit follows as W/m2 or W/m^2.
constexpr absl::string_view kPlaneOfArray = "Plane of Array Irradiance (W/m";

struct Line {
  size_t number = 0;  // from 1
  std::vector<absl::string_view> cells;
};

std::vector<Line> LinesOf(absl::string_view text) {
  std::vector<Line> lines;
  size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(WithoutByteOrderMark(text), '\n')) {
    lines.push_back({++number, {}});
    for (absl::string_view cell : absl::StrSplit(line, ',')) {
      cell = absl::StripAsciiWhitespace(cell);
      if (cell.size() >= 2 && absl::StartsWith(cell, "\"") && absl::EndsWith(cell, "\"")) {
        cell = absl::StripAsciiWhitespace(cell.substr(1, cell.size() - 2));
      }
      lines.back().cells.push_back(cell);
    }
  }
  return lines;
}

absl::Status Error(absl::string_view file, size_t line, absl::string_view field,
                   absl::string_view value, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", field, ": \"",
                                                 absl::CHexEscape(value.substr(0, kShownMax)),
                                                 "\"; wanted ", wanted));
}

std::optional<size_t> ColumnOf(const Line& head, absl::string_view name) {
  const auto found = std::find(head.cells.begin(), head.cells.end(), name);
  return found == head.cells.end() ? std::nullopt
                                   : std::optional(static_cast<size_t>(found - head.cells.begin()));
}

absl::StatusOr<double> NumberAt(const Line& line, size_t column, absl::string_view file,
                                absl::string_view field, absl::string_view wanted) {
  const absl::string_view cell = column < line.cells.size() ? line.cells[column] : "";
  double number = 0.0;
  if (!absl::SimpleAtod(cell, &number) || !std::isfinite(number)) {
    return Error(file, line.number, field, cell, wanted);
  }
  return number;
}

bool IsEmpty(const Line& line) {
  return line.cells.size() == 1 && line.cells[0].empty();
}

// Hours count from 0 on, without a gap.
absl::Status CheckHour(const Line& line, size_t column, size_t wanted, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const double hour,
                          NumberAt(line, column, file, "hour", absl::StrCat(wanted)));
  return hour == static_cast<double>(wanted)
             ? absl::OkStatus()
             : Error(file, line.number, "hour", line.cells[column],
                     absl::StrCat(wanted, ", the hour after the one before"));
}

// Position of the hours in a file.
struct SunTable {
  size_t first = 0;             // index of the first hour's line
  std::vector<size_t> columns;  // whose sum is the sun on the panel
  std::string field;
  std::optional<size_t> hour_column{};  // counts from 0
  bool is_local_time = false;
};

// The columns of PVGIS: what the panel gets, whole or in parts; otherwise what level ground gets.
std::optional<SunTable> PvgisTable(const Line& head, size_t first) {
  if (const auto whole = ColumnOf(head, "G(i)")) {
    return SunTable{first, {*whole}, "G(i)"};
  }
  const auto beam = ColumnOf(head, "Gb(i)");
  const auto diffuse = ColumnOf(head, "Gd(i)");
  const auto reflected = ColumnOf(head, "Gr(i)");
  if (beam && diffuse && reflected) {
    return SunTable{first, {*beam, *diffuse, *reflected}, "Gb(i) + Gd(i) + Gr(i)"};
  }
  if (const auto level = ColumnOf(head, "G(h)")) {
    return SunTable{first, {*level}, "G(h)"};
  }
  return std::nullopt;
}

absl::StatusOr<SunTable> FindSun(const std::vector<Line>& lines, absl::string_view file) {
  for (size_t i = 0; i < lines.size(); ++i) {
    const Line& line = lines[i];
    if (line.cells[0] == "hour") {
      if (const auto column = ColumnOf(line, "w_per_m2")) {
        return SunTable{i + 1, {*column}, "w_per_m2", 0};
      }
      return Error(file, line.number, "columns", line.cells.back(), "hour,w_per_m2");
    }
    if (absl::StartsWith(line.cells[0], "time")) {
      if (std::optional<SunTable> table = PvgisTable(line, i + 1)) {
        return *std::move(table);
      }
    }
    if (line.cells[0] == "Month") {
      for (size_t column = 0; column < line.cells.size(); ++column) {
        if (absl::StartsWith(line.cells[column], kPlaneOfArray)) {
          return SunTable{.first = i + 1,
                          .columns = {column},
                          .field = std::string(line.cells[column]),
                          .is_local_time = true};
        }
      }
    }
  }
  return Error(file, 1, "columns", lines[0].cells[0],
               "a line hour,w_per_m2, or a file of PVGIS with G(i), Gb(i), Gd(i) and Gr(i), or "
               "G(h), or an hourly file of PVWatts");
}

// The zone of the longitude above the table of PVWatts: "Long (deg W):,105.18", in degrees East
// since version 8. A clock that the law of a place has moved from its sun is an hour off.
std::optional<double> OffsetOfLongitude(const std::vector<Line>& lines, size_t end) {
  for (size_t i = 0; i < end; ++i) {
    const Line& line = lines[i];
    double degrees = 0.0;
    if (line.cells.size() < 2 || !absl::StartsWithIgnoreCase(line.cells[0], "lon") ||
        !absl::SimpleAtod(line.cells[1], &degrees) || std::abs(degrees) > kLongitudeMax) {
      continue;
    }
    const bool is_west = absl::StrContains(absl::AsciiStrToLower(line.cells[0]), "deg w");
    return std::round((is_west ? -degrees : degrees) / kDegreesOfZone);
  }
  return std::nullopt;
}

// Checks that each day has an hour of night: otherwise lines without a time are of other lengths
// than an hour, and the scenario would misread the file.
absl::Status CheckNights(const std::vector<double>& watts, const std::vector<size_t>& lines,
                         absl::string_view file, absl::string_view field) {
  for (size_t day = 0; day + kHoursOfDay <= watts.size(); day += kHoursOfDay) {
    const auto begin = watts.begin() + static_cast<ptrdiff_t>(day);
    const auto [darkest, brightest] =
        std::minmax_element(begin, begin + static_cast<ptrdiff_t>(kHoursOfDay));
    if (*darkest > kNightShare * *brightest) {
      return Error(file, lines[static_cast<size_t>(darkest - watts.begin())], field,
                   absl::StrCat(*darkest),
                   "a night in each day: no more than 5 % of the brightest hour's sun");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SunFile> ParseSun(absl::string_view text, absl::string_view file) {
  const std::vector<Line> lines = LinesOf(text);
  WATTLE_ASSIGN_OR_RETURN(const SunTable table, FindSun(lines, file));
  std::vector<double> watts;
  std::vector<size_t> numbers;
  for (size_t i = table.first; i < lines.size() && !IsEmpty(lines[i]); ++i) {
    const Line& line = lines[i];
    if (line.cells[0] == "Totals") {
      break;
    }
    if (table.hour_column) {
      WATTLE_RETURN_IF_ERROR(CheckHour(line, *table.hour_column, watts.size(), file));
    }
    double sun = 0.0;
    for (const size_t column : table.columns) {
      WATTLE_ASSIGN_OR_RETURN(const double part, NumberAt(line, column, file, table.field,
                                                          "a number of W/m2, 0 to 1500"));
      sun += part;
    }
    if (sun < 0.0 || sun > kSunMax) {
      return Error(file, line.number, table.field, line.cells[table.columns[0]],
                   "W/m2 on the panel, 0 to 1500");
    }
    watts.push_back(sun);
    numbers.push_back(line.number);
  }
  if (watts.empty()) {
    return Error(file, lines.back().number, table.field, "", "a line for each hour");
  }
  const double brightest = *std::max_element(watts.begin(), watts.end());
  if (brightest > 0.0 && brightest < kBrightestMin) {
    return Error(file, numbers.front(), table.field, absl::StrCat("at most ", brightest),
                 "W/m2; these look like kW/m2, so multiply them by 1000");
  }
  if (table.hour_column) {  // In June the sun of the far north does not set.
    WATTLE_RETURN_IF_ERROR(CheckNights(watts, numbers, file, table.field));
  }
  for (double& one : watts) {
    one /= kFullSun;
  }
  return SunFile{
      std::move(watts), table.is_local_time,
      table.is_local_time ? OffsetOfLongitude(lines, table.first) : std::optional<double>{}};
}

std::vector<double> InHoursOfUtc(const std::vector<double>& hours, double utc_offset_hours) {
  const auto size = static_cast<ptrdiff_t>(hours.size());
  const double whole = std::floor(utc_offset_hours);
  const double later = utc_offset_hours - whole;
  const auto at = [&](ptrdiff_t hour) {
    return hours[static_cast<size_t>(((hour % size) + size) % size)];
  };
  std::vector<double> utc(hours.size());
  for (ptrdiff_t hour = 0; hour < size; ++hour) {
    // An hour of UTC lies in two hours of a clock that is a part of an hour ahead.
    const ptrdiff_t local = hour + static_cast<ptrdiff_t>(whole);
    utc[static_cast<size_t>(hour)] = (1.0 - later) * at(local) + later * at(local + 1);
  }
  return utc;
}

absl::StatusOr<std::vector<double>> ParseLink(absl::string_view text, absl::string_view file) {
  const std::vector<Line> lines = LinesOf(text);
  if (lines[0].cells != std::vector<absl::string_view>{"hour", "mbit"}) {
    return Error(file, 1, "columns", absl::StrJoin(lines[0].cells, ","), "hour,mbit");
  }
  constexpr absl::string_view kWanted = "Mbit/s, 0 to 100000; 0 for an hour without a link";
  std::vector<double> hours;
  for (size_t i = 1; i < lines.size() && !IsEmpty(lines[i]); ++i) {
    WATTLE_RETURN_IF_ERROR(CheckHour(lines[i], 0, hours.size(), file));
    WATTLE_ASSIGN_OR_RETURN(const double mbit, NumberAt(lines[i], 1, file, "mbit", kWanted));
    if (mbit < 0.0 || mbit > kLinkMbitMax) {
      return Error(file, lines[i].number, "mbit", lines[i].cells[1], kWanted);
    }
    hours.push_back(mbit);
  }
  if (hours.empty()) {
    return Error(file, lines.back().number, "mbit", "", "a line for each hour");
  }
  return hours;
}

absl::StatusOr<std::vector<Arrival>> ParseArrivals(absl::string_view text, absl::string_view file) {
  const std::vector<Line> lines = LinesOf(text);
  const std::optional<size_t> at = ColumnOf(lines[0], "at_seconds");
  const std::optional<size_t> deadline = ColumnOf(lines[0], "deadline_seconds");
  if (!at) {
    return Error(file, 1, "columns", lines[0].cells[0],
                 "at_seconds or at_seconds,deadline_seconds");
  }
  std::vector<Arrival> arrivals;
  for (size_t i = 1; i < lines.size() && !IsEmpty(lines[i]); ++i) {
    Arrival arrival;
    WATTLE_ASSIGN_OR_RETURN(arrival.at_seconds,
                            NumberAt(lines[i], *at, file, "at_seconds", "seconds from 0 on"));
    const double before = arrivals.empty() ? 0.0 : arrivals.back().at_seconds;
    if (arrival.at_seconds < before) {
      return Error(file, lines[i].number, "at_seconds", lines[i].cells[*at],
                   absl::StrCat("at least ", before, ", for a trace is in order of time"));
    }
    if (deadline) {
      WATTLE_ASSIGN_OR_RETURN(
          arrival.deadline_seconds,
          NumberAt(lines[i], *deadline, file, "deadline_seconds", "seconds from submission"));
      if (arrival.deadline_seconds < 0.0) {
        return Error(file, lines[i].number, "deadline_seconds", lines[i].cells[*deadline],
                     "seconds from submission, 0 for none");
      }
    }
    arrivals.push_back(arrival);
  }
  if (arrivals.empty()) {
    return Error(file, 1, "at_seconds", "", "at least one arrival");
  }
  return arrivals;
}

}  // namespace wattle::sim
