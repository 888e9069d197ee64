// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Seconds against joules over the power modes in which a workload was measured, and over the points
// that a profile job measured.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/chart.h"
#include "cli/labels.h"
#include "cli/profile_view.h"
#include "cli/table.h"

#include "scheduler/profiles/profile_table.h"

namespace wattle::cli {
namespace {

struct ModePoint {
  std::string mode;
  double seconds = 0;  // for a unit of work, like joules
  double joules = 0;
};

bool IsPoint(const v1::ProfileRow& row) {
  const double seconds = row.seconds_per_unit().mean();
  const double joules = row.energy_joules_per_unit().mean();
  return row.source() == v1::PROFILE_SOURCE_MEASURED && row.device_id().empty() &&
         std::isfinite(seconds) && seconds > 0 && std::isfinite(joules) && joules > 0;
}

std::string ModeWord(const std::string& mode) {
  return mode.empty() ? "the only one" : mode;
}

// A mode that is at least as good in both and better in one; "" if there is none.
std::string BeatenBy(const ModePoint& point, const std::vector<ModePoint>& points) {
  for (const ModePoint& other : points) {
    if (other.seconds <= point.seconds && other.joules <= point.joules &&
        (other.seconds < point.seconds || other.joules < point.joules)) {
      return ModeWord(other.mode);
    }
  }
  return "";
}

// heading: of the column that distinguishes the points.
std::string DrawFront(const std::string& title, const std::string& heading,
                      std::vector<ModePoint> points, const TextStyle& style) {
  std::sort(points.begin(), points.end(), [](const ModePoint& a, const ModePoint& b) {
    return a.seconds != b.seconds ? a.seconds < b.seconds : a.joules < b.joules;
  });
  Chart chart{.title = title, .line = {}, .marks = {}, .from_zero = false, .x_unit = "s"};
  Table table(
      {{heading}, {"device s/unit", Align::kRight}, {"energy/unit", Align::kRight}, {"front"}});
  for (const ModePoint& point : points) {
    const std::string beaten_by = BeatenBy(point, points);
    chart.marks.push_back({point.seconds, point.joules});
    if (beaten_by.empty()) {
      chart.line.push_back({point.seconds, point.joules});
    }
    table.AddRow({ModeWord(point.mode), UnitSeconds(point.seconds), UnitEnergy(point.joules),
                  beaten_by.empty() ? "yes" : absl::StrCat("no: ", beaten_by, " is better")});
  }
  return absl::StrCat(points.size() > 1 ? RenderChart(chart, style) : "", table.Render(style));
}

std::string RenderFront(const v1::ProfileRow& row, std::vector<ModePoint> points,
                        const TextStyle& style) {
  const std::string what = absl::StrCat(DeviceClassWord(row.device_class(), row.emulated()), ", ",
                                        WorkloadWords(row.signature()));
  if (points.size() < 2) {
    return absl::StrCat(Printable(what), ": measured in one power mode alone (",
                        Printable(ModeWord(points.front().mode)),
                        "); a front needs two: run such a job in another mode\n");
  }
  return DrawFront(absl::StrCat(what, ": joules over device s of one ", UnitWord(row.unit())),
                   "mode", std::move(points), style);
}

}  // namespace

std::string RenderFronts(const v1::ListProfilesResponse& profiles, const TextStyle& style) {
  std::map<std::string, std::vector<ModePoint>> points;
  std::map<std::string, v1::ProfileRow> rows;
  for (const v1::ProfileRow& row : profiles.rows()) {
    if (!IsPoint(row)) {
      continue;
    }
    v1::ProfileRow of_any_mode = row;
    of_any_mode.clear_power_mode();
    const std::string key = scheduler::ProfileKey(of_any_mode);
    points[key].push_back(
        {row.power_mode(), row.seconds_per_unit().mean(), row.energy_joules_per_unit().mean()});
    rows[key] = row;
  }
  std::string out;
  for (const auto& [key, of_key] : points) {
    absl::StrAppend(&out, out.empty() ? "" : "\n", RenderFront(rows[key], of_key, style));
  }
  return out;
}

std::string PointWords(const v1::ProfilePoint& point) {
  return absl::StrCat(point.power_mode(), point.power_mode().empty() ? "" : ", ", "batch ",
                      point.batch_size());
}

int EndedRuns(const v1::Job& job) {
  return static_cast<int>(
      std::count_if(job.attempts().begin(), job.attempts().end(), [](const v1::Attempt& attempt) {
        return attempt.has_profile_point() && (attempt.state() == v1::ATTEMPT_STATE_FINISHED ||
                                               attempt.state() == v1::ATTEMPT_STATE_FAILED);
      }));
}

std::string RenderRunFront(const v1::Job& job, const TextStyle& style) {
  std::vector<ModePoint> points;
  std::string failed;
  std::string unit = "unit";
  for (const v1::Attempt& attempt : job.attempts()) {
    const v1::Receipt& receipt = attempt.receipt();
    const double units = receipt.work().units();
    if (attempt.state() == v1::ATTEMPT_STATE_FAILED && attempt.has_profile_point()) {
      absl::StrAppend(&failed, Printable(PointWords(attempt.profile_point())),
                      ": failed: ", Printable(attempt.reason()), "\n");
    }
    if (attempt.state() != v1::ATTEMPT_STATE_FINISHED || !(units > 0)) {
      continue;
    }
    std::erase_if(points, [&](const ModePoint& earlier) {  // of the same point, measured once more
      return earlier.mode == PointWords(attempt.profile_point());
    });
    // Uses the row's joules: a gap in the samples saves no energy.
    points.push_back({PointWords(attempt.profile_point()), receipt.run().seconds() / units,
                      receipt.run().mean_power_watts() * receipt.run().seconds() / units});
    unit = UnitWord(receipt.work().unit());
  }
  return absl::StrCat(points.empty() ? ""
                                     : DrawFront(absl::StrCat("joules over device s of one ", unit),
                                                 "point", std::move(points), style),
                      failed);
}

}  // namespace wattle::cli
