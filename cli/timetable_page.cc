// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/timetable_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/labels.h"

#include "units/format.h"

namespace wattle::cli {
namespace {

// Of a device's drawing, in its own units.
constexpr double kWidth = 1000;
constexpr double kLane = 26;
constexpr double kCharge = 70;
constexpr double kLabels = 16;
// A line each so many hours, at most a dozen of them.
constexpr std::array<int, 4> kGridHours = {1, 3, 6, 12};
constexpr int kGridLinesMax = 12;

constexpr char kHead[] = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Wattle: timetable</title>
<style>
:root { color-scheme: light dark; --ink: #1d2733; --paper: #fff; --line: #d5dbe1; --runs: #2f6fde; --waits: #8fb4f0; --charge: #e0a020; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14181d; --line: #39424c; --runs: #5b93f5; --waits: #37598f; --charge: #e8b64a; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 11px; fill: var(--ink); }
.grid { stroke: var(--line); }
.runs { fill: var(--runs); }
.waits { fill: var(--waits); }
.band { fill: var(--charge); opacity: .3; }
.median { fill: none; stroke: var(--charge); stroke-width: 2; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
</style>
</head>
<body>
)";

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

class DevicePage {
 public:
  DevicePage(const v1::Timetable& timetable, const v1::DeviceTimetable& device)
      : timetable_(timetable), device_(device) {}

  [[nodiscard]] std::string Html() const {
    const double height = kLane + (device_.charge().empty() ? 0 : kCharge) + kLabels;
    return absl::StrCat(
        "<h2>", Escaped(device_.device_name()), "</h2>\n",
        absl::StrFormat("<svg viewBox=\"0 0 %g %g\" role=\"img\">\n", kWidth, height), Grid(height),
        Bars(), Charge(), "</svg>\n", Table());
  }

 private:
  [[nodiscard]] double X(double unix_seconds) const {
    const double share =
        (unix_seconds - timetable_.at_unix_seconds()) / timetable_.horizon_seconds();
    return kWidth * std::clamp(share, 0.0, 1.0);
  }

  [[nodiscard]] std::string Grid(double height) const {
    const double hours = timetable_.horizon_seconds() / 3600;
    const auto every = std::find_if(kGridHours.begin(), kGridHours.end() - 1,
                                    [hours](int each) { return hours / each <= kGridLinesMax; });
    std::string lines;
    const double step = *every * 3600.0;
    const double first = (std::floor(timetable_.at_unix_seconds() / step) + 1) * step;
    for (double at = first; at < timetable_.at_unix_seconds() + timetable_.horizon_seconds();
         at += step) {
      absl::StrAppendFormat(
          &lines,
          "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%g\"/>"
          "<text x=\"%.1f\" y=\"%g\">%s</text>\n",
          X(at), X(at), height - kLabels, X(at) + 2, height - 4,
          absl::FormatTime("%H:%M", absl::FromUnixSeconds(static_cast<int64_t>(at)),
                           absl::UTCTimeZone()));
    }
    return lines;
  }

  [[nodiscard]] std::string Bars() const {
    std::string bars;
    for (const v1::TimetableEntry& entry : device_.entries()) {
      const double begin = X(entry.begin_unix_seconds());
      const double width = std::max(1.0, X(entry.end_unix_seconds()) - begin);
      const std::string job = Escaped(entry.job_id());
      absl::StrAppendFormat(
          &bars,
          "<rect class=\"%s\" x=\"%.1f\" y=\"3\" width=\"%.1f\" height=\"%g\" rx=\"2\"><title>%s: "
          "%s to %s</title></rect>",
          entry.attempt_id().empty() ? "waits" : "runs", begin, width, kLane - 6, job,
          FormatInstant(entry.begin_unix_seconds()), FormatInstant(entry.end_unix_seconds()));
      if (width > 9.0 * static_cast<double>(job.size())) {
        absl::StrAppendFormat(&bars, "<text x=\"%.1f\" y=\"%g\">%s</text>", begin + 4, kLane - 9,
                              job);
      }
      absl::StrAppend(&bars, "\n");
    }
    return bars;
  }

  [[nodiscard]] static double Y(double ratio) {
    return kLane + kCharge * (1 - std::clamp(ratio, 0.0, 1.0));
  }

  [[nodiscard]] std::string Charge() const {
    if (device_.charge().empty()) {
      return "";
    }
    std::string upper;
    std::string lower;
    std::string median;
    for (const v1::ChargeForecast& charge : device_.charge()) {
      const double x = X(charge.at_unix_seconds());
      absl::StrAppendFormat(&upper, "%.1f,%.1f ", x, Y(charge.high_ratio()));
      lower = absl::StrFormat("%.1f,%.1f ", x, Y(charge.low_ratio())) + lower;
      absl::StrAppendFormat(&median, "%.1f,%.1f ", x, Y(charge.median_ratio()));
    }
    return absl::StrCat("<polygon class=\"band\" points=\"", upper, lower,
                        "\"><title>charge: one day of ten is below, one above</title></polygon>\n",
                        "<polyline class=\"median\" points=\"", median, "\"/>\n",
                        absl::StrFormat("<text x=\"2\" y=\"%g\">100 %%</text><text x=\"2\" "
                                        "y=\"%g\">0 %%</text>\n",
                                        kLane + 10, kLane + kCharge - 2));
  }

  [[nodiscard]] std::string Table() const {
    if (device_.entries().empty()) {
      return "<p>free</p>\n";
    }
    std::string rows = "<table><tr><th>job</th><th>begins</th><th>ends</th><th></th></tr>\n";
    for (const v1::TimetableEntry& entry : device_.entries()) {
      absl::StrAppend(&rows, "<tr><td>", Escaped(entry.job_id()), "</td><td>",
                      FormatInstant(entry.begin_unix_seconds()), "</td><td>",
                      FormatInstant(entry.end_unix_seconds()), "</td><td>",
                      entry.attempt_id().empty() ? "waits" : "runs",
                      entry.waits_for().empty() ? "" : ": ", Escaped(entry.waits_for()),
                      "</td></tr>\n");
    }
    return absl::StrCat(rows, "</table>\n");
  }

  const v1::Timetable& timetable_;
  const v1::DeviceTimetable& device_;
};

}  // namespace

std::string TimetablePage(const v1::Timetable& timetable) {
  std::string page = absl::StrCat(
      kHead, "<h1>The next ", FormatElapsed(absl::Seconds(timetable.horizon_seconds())), "</h1>\n",
      "<p>From ", FormatInstant(timetable.at_unix_seconds()),
      ". Dark bars run, light bars wait for their place. The band is the charge to expect.</p>\n");
  for (const v1::DeviceTimetable& device : timetable.devices()) {
    page += DevicePage(timetable, device).Html();
  }
  if (timetable.devices().empty()) {
    page += "<p>No device has registered; start a wattle-worker.</p>\n";
  }
  if (!timetable.without_place().empty()) {
    page += "<h2>Without a place</h2>\n<table>\n";
    for (const v1::JobWithoutPlace& job : timetable.without_place()) {
      absl::StrAppend(&page, "<tr><td>", Escaped(job.job_id()), "</td><td>", Escaped(job.reason()),
                      "</td></tr>\n");
    }
    page += "</table>\n";
  }
  return page + "</body>\n</html>\n";
}

}  // namespace wattle::cli
