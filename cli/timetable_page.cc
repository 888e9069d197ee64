// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/timetable_page.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/labels.h"
#include "cli/page.h"
#include "cli/timetable_view.h"

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

// The text in a running bar has the colour of the page, because the ink's colour is too close to
// the bar's.
constexpr char kStyle[] =
    R"(:root { --runs: #2f6fde; --waits: #8fb4f0; --bad: #c62f2f; }
@media (prefers-color-scheme: dark) { :root { --runs: #5b93f5; --waits: #37598f; --bad: #ff6b6b; } }
.runs { fill: var(--runs); }
svg .runs + text { fill: var(--paper); }
.waits { fill: var(--waits); }
.reserve { stroke: var(--bad); stroke-dasharray: 6 4; }
.span { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.band { fill: var(--charge); opacity: .3; }
)";

// "06:00"; at midnight the day that begins: "21 Nov".
std::string Clock(double unix_seconds) {
  constexpr int64_t kDaySeconds = 86400;
  const auto seconds = static_cast<int64_t>(unix_seconds);
  return absl::FormatTime(seconds % kDaySeconds == 0 ? "%-d %b" : "%H:%M",
                          absl::FromUnixSeconds(seconds), absl::UTCTimeZone());
}

constexpr double kOverBar = 1.5;
constexpr double kUnderBar = Drawing::kLane - 1.5;

std::string BeginsWords(const v1::TimetableEntry& entry) {
  return FormatMoment(entry.begin_unix_seconds(), entry.begin_low_unix_seconds(),
                      entry.begin_high_unix_seconds());
}

std::string EndsWords(const v1::TimetableEntry& entry) {
  return FormatMoment(entry.end_unix_seconds(), entry.end_low_unix_seconds(),
                      entry.end_high_unix_seconds());
}

class DevicePage {
 public:
  DevicePage(const v1::Timetable& timetable, const v1::DeviceTimetable& device)
      : device_(device),
        drawing_(timetable.at_unix_seconds(), timetable.horizon_seconds(), Clock) {}

  [[nodiscard]] std::string Html() const {
    const double height = Drawing::kLane + (device_.charge().empty() ? 0 : Drawing::kCharge);
    const std::string group =
        device_.power_group().empty()
            ? ""
            : absl::StrCat("<p>power group ", Escaped(device_.power_group()), "</p>\n");
    const std::string sun = device_.sun_source().empty()
                                ? ""
                                : absl::StrCat("<p>sun: ", Escaped(device_.sun_source()), "</p>\n");
    return absl::StrCat("<h2>", Escaped(device_.device_name()), "</h2>\n", group,
                        drawing_.Svg(device_.device_name(), height, absl::StrCat(Bars(), Charge())),
                        sun, Table());
  }

 private:
  [[nodiscard]] std::string Bars() const {
    std::string bars;
    for (const v1::TimetableEntry& entry : device_.entries()) {
      bars += drawing_.Bar({.css = entry.attempt_id().empty() ? "waits" : "runs",
                            .begin_seconds = entry.begin_unix_seconds(),
                            .end_seconds = entry.end_unix_seconds(),
                            .label = entry.job_id(),
                            .title = absl::StrCat(entry.job_id(), ": ", BeginsWords(entry), " to ",
                                                  EndsWords(entry))});
      bars += Whisker(kOverBar, entry.begin_low_unix_seconds(), entry.begin_high_unix_seconds());
      bars += Whisker(kUnderBar, entry.end_low_unix_seconds(), entry.end_high_unix_seconds());
    }
    return bars;
  }

  // A whisker above a bar shows the span of its begin, one below the span of its end: a line with a
  // short tick at each end. Nothing if the span is unknown.
  [[nodiscard]] std::string Whisker(double y, double low, double high) const {
    if (low >= high) {
      return "";
    }
    // At least one unit wide, so that a short span stays visible.
    const double begin = drawing_.X(low);
    return absl::StrFormat("<path class=\"span\" d=\"M%.1f %g v3 v-1.5 H%.1f v1.5 v-3\"/>\n", begin,
                           y - 1.5, std::max(drawing_.X(high), begin + 1));
  }

  [[nodiscard]] static double Y(double ratio) {
    return Drawing::Y(ratio, Drawing::kLane, Drawing::kCharge);
  }

  [[nodiscard]] std::string Charge() const {
    if (device_.charge().empty()) {
      return "";
    }
    std::string upper;
    std::string lower;
    std::string median;
    for (const v1::ChargeForecast& charge : device_.charge()) {
      const double x = drawing_.X(charge.at_unix_seconds());
      absl::StrAppendFormat(&upper, "%.1f,%.1f ", x, Y(charge.high_ratio()));
      // A polygon is one closed outline: the upper edge forward, then the lower edge backward.
      lower.insert(0, absl::StrFormat("%.1f,%.1f ", x, Y(charge.low_ratio())));
      absl::StrAppendFormat(&median, "%.1f,%.1f ", x, Y(charge.median_ratio()));
    }
    // SVG paints in order: the band must not cover the median line.
    return absl::StrCat(Reserve(), "<polygon class=\"band\" points=\"", upper, lower,
                        "\"><title>charge: one day of ten is below, one above</title></polygon>\n",
                        "<polyline class=\"charge\" points=\"", median, "\"/>\n",
                        Drawing::ChargeScale(Drawing::kLane));
  }

  [[nodiscard]] std::string Reserve() const {
    const double reserve = device_.reserve_state_of_charge_ratio();
    if (reserve <= 0) {
      return "";
    }
    const std::string text = absl::StrCat("reserve ", FormatPercent(Fraction(reserve)));
    return absl::StrCat(
        absl::StrFormat("<line class=\"reserve\" x1=\"0\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                        Drawing::kWidth, Y(reserve), Y(reserve)),
        Drawing::ScaleText(Y(reserve) - 3, text, /*at_end=*/true));
  }

  [[nodiscard]] std::string TakesNone() const {
    return device_.takes_none_because().empty()
               ? ""
               : absl::StrCat("<p>takes no work: ", Escaped(device_.takes_none_because()),
                              "</p>\n");
  }

  [[nodiscard]] std::string Table() const {
    if (device_.entries().empty()) {
      return device_.takes_none_because().empty() ? "<p>free</p>\n" : TakesNone();
    }
    std::string rows = "<table><tr><th>job</th><th>begins</th><th>ends</th><th></th></tr>\n";
    for (const v1::TimetableEntry& entry : device_.entries()) {
      absl::StrAppend(&rows, "<tr><td>", Escaped(entry.job_id()), "</td><td>", BeginsWords(entry),
                      "</td><td>", EndsWords(entry), "</td><td>",
                      entry.attempt_id().empty() ? "waits" : "runs", RestWords(entry),
                      entry.waits_for().empty() ? "" : ": ", Escaped(entry.waits_for()),
                      "</td></tr>\n");
    }
    return absl::StrCat(rows, "</table>\n", TakesNone());
  }

  const v1::DeviceTimetable& device_;
  const Drawing drawing_;
};

}  // namespace

std::string TimetablePage(const v1::Timetable& timetable) {
  std::string page = absl::StrCat(
      PageHead("Wattle: timetable", kStyle), "<h1>The next ",
      FormatElapsed(absl::Seconds(timetable.horizon_seconds())), "</h1>\n", "<p>From ",
      FormatInstant(timetable.at_unix_seconds()),
      ". Strong bars run, pale bars wait for their place. Nine of ten starts are expected within ",
      "the thin line over a bar, and nine of ten ends within the one under it. The band is the ",
      "charge to expect, and work stops at the broken line, the reserve.</p>\n");
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
  return page + PageEnd();
}

}  // namespace wattle::cli
