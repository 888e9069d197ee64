// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/timetable_view.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

// Interval between rows of charge, so that two days fit on a screen.
constexpr size_t kChargeEveryHours = 4;

std::string In(double unix_seconds, const v1::Timetable& timetable) {
  const double seconds = unix_seconds - timetable.at_unix_seconds();
  return seconds < 1 ? "now" : FormatElapsed(absl::Seconds(seconds));
}

// " (90 %: begins in 25 min 00 s to 40 min 00 s, ends in 1 h 05 min to 1 h 35 min)". Unknown or
// certain moments are left out.
std::string SpanOf(const v1::TimetableEntry& entry, const v1::Timetable& timetable) {
  std::vector<std::string> spans;
  const auto add = [&](absl::string_view what, double low, double high) {
    if (low < high) {
      spans.push_back(absl::StrCat(what, " in ", In(low, timetable), " to ", In(high, timetable)));
    }
  };
  add("begins", entry.begin_low_unix_seconds(), entry.begin_high_unix_seconds());
  add("ends", entry.end_low_unix_seconds(), entry.end_high_unix_seconds());
  return spans.empty() ? "" : absl::StrCat(" (90 %: ", absl::StrJoin(spans, ", "), ")");
}

std::string What(const v1::TimetableEntry& entry, const v1::Timetable& timetable) {
  const std::string what = !entry.attempt_id().empty()                                    ? "runs"
                           : entry.begin_unix_seconds() - timetable.at_unix_seconds() < 1 ? "starts"
                                                                                          : "waits";
  return absl::StrCat(what, RestWords(entry), SpanOf(entry, timetable),
                      entry.waits_for().empty() ? "" : ": ", entry.waits_for());
}

std::string Jobs(const v1::Timetable& timetable, const TextStyle& style) {
  Table table({{"device"},
               {"job"},
               {"begins in", Align::kRight},
               {"ends in", Align::kRight},
               {"ends at"},
               {"", Align::kLeft, true}});
  for (const v1::DeviceTimetable& device : timetable.devices()) {
    for (const v1::TimetableEntry& entry : device.entries()) {
      table.AddRow({device.device_name(), entry.job_id(), In(entry.begin_unix_seconds(), timetable),
                    In(entry.end_unix_seconds(), timetable),
                    FormatInstant(entry.end_unix_seconds()), What(entry, timetable)});
    }
    if (!device.takes_none_because().empty()) {
      table.AddRow({device.device_name(), "", "", "", "",
                    absl::StrCat("takes no work: ", device.takes_none_because())});
    } else if (device.entries().empty()) {
      table.AddRow({device.device_name(), "", "", "", "", "free"});
    }
  }
  return table.Render(style);
}

// The charge of each device with a known sun: the 10 %, 50 % and 90 % quantiles of the paths.
std::string Charge(const v1::Timetable& timetable, const TextStyle& style) {
  Table table({{"charge"},
               {"in", Align::kRight},
               {"at"},
               {"10 %", Align::kRight},
               {"50 %", Align::kRight},
               {"90 %", Align::kRight},
               {"reserve", Align::kRight}});
  for (const v1::DeviceTimetable& device : timetable.devices()) {
    // The forecast has one value for each hour; a row for each would hide the jobs above.
    for (size_t hour = 0; hour < static_cast<size_t>(device.charge_size());
         hour += kChargeEveryHours) {
      const v1::ChargeForecast& charge = device.charge(static_cast<int>(hour));
      table.AddRow({device.device_name(), In(charge.at_unix_seconds(), timetable),
                    FormatInstant(charge.at_unix_seconds()),
                    FormatPercent(Fraction(charge.low_ratio())),
                    FormatPercent(Fraction(charge.median_ratio())),
                    FormatPercent(Fraction(charge.high_ratio())),
                    device.reserve_state_of_charge_ratio() > 0
                        ? FormatPercent(Fraction(device.reserve_state_of_charge_ratio()))
                        : ""});
    }
  }
  if (table.empty()) {
    return "";
  }
  std::string out = absl::StrCat("\n", table.Render(style));
  for (const v1::DeviceTimetable& device : timetable.devices()) {
    if (!device.sun_source().empty()) {
      absl::StrAppend(&out, "sun of ", Printable(device.device_name()), ": ",
                      Printable(device.sun_source()), "\n");
    }
  }
  return out;
}

// "power group mast: nano-1, nano-2", one line for each group.
std::string PowerGroups(const v1::Timetable& timetable) {
  std::map<std::string, std::vector<std::string>> groups;
  for (const v1::DeviceTimetable& device : timetable.devices()) {
    if (!device.power_group().empty()) {
      groups[device.power_group()].push_back(Printable(device.device_name()));
    }
  }
  std::string lines = groups.empty() ? "" : "\n";
  for (const auto& [name, devices] : groups) {
    absl::StrAppend(&lines, "power group ", Printable(name), ": ", absl::StrJoin(devices, ", "),
                    "\n");
  }
  return lines;
}

}  // namespace

std::string RestWords(const v1::TimetableEntry& entry) {
  return entry.rest_seconds() > 0
             ? absl::StrCat(", rests about ", FormatElapsed(absl::Seconds(entry.rest_seconds())),
                            " at its reserve")
             : "";
}

std::string RenderTimetable(const v1::Timetable& timetable, const TextStyle& style) {
  if (timetable.devices().empty()) {
    return "no device has registered; start a wattle-worker\n";
  }
  std::string out =
      absl::StrCat("the next ", FormatElapsed(absl::Seconds(timetable.horizon_seconds())), " from ",
                   FormatInstant(timetable.at_unix_seconds()), "\n\n", Jobs(timetable, style),
                   Charge(timetable, style));
  absl::StrAppend(&out, PowerGroups(timetable));
  absl::StrAppend(&out, timetable.without_place().empty() ? "" : "\n");
  for (const v1::JobWithoutPlace& job : timetable.without_place()) {
    absl::StrAppend(&out, Printable(job.job_id()), " has no place: ", Printable(job.reason()),
                    "\n");
  }
  return out;
}

}  // namespace wattle::cli
