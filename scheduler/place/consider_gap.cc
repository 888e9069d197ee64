// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a run on a device begins and ends: in the first gap between its reservations, with the
// waits of its link and the pauses of its windows and budget.
#include <algorithm>

#include "scheduler/place/consider_internal.h"
#include "scheduler/place/way_of_files.h"
#include "scheduler/predict/predict.h"

namespace wattle::scheduler {
namespace {

// Wall seconds from now until the end of a run of `run_seconds`, including the pauses for the
// device's windows and budget. spent: of the budget, at the start. A run that never ends within
// them takes a century.
double FinishIn(absl::Time now, const policy::Limits& limits, Joules spent,
                const v1::Candidate& candidate, double run_seconds) {
  constexpr double kNever = 100.0 * 366 * 86400;
  const v1::Prediction& prediction = candidate.prediction();
  const double work_seconds = prediction.time_scale() * TotalSeconds(prediction, run_seconds);
  if (limits.windows.empty() && !limits.budget) {
    return candidate.start_in_seconds() + work_seconds;
  }
  const absl::Time start = now + absl::Seconds(candidate.start_in_seconds());
  absl::Duration fetch;
  absl::Duration upload;
  if (HasLinkLimits(limits)) {  // Then fetch and upload have their waits for work's windows, too.
    fetch = absl::Seconds(prediction.time_scale() * prediction.fetch_seconds());
    upload = absl::Seconds(prediction.time_scale() * prediction.upload_seconds());
  }
  if (limits.budget &&
      policy::DayOf(*limits.budget, start) != policy::DayOf(*limits.budget, start + fetch)) {
    spent = Joules(0);
  }
  const Watts draw(prediction.mean_power_watts() / prediction.time_scale());
  const absl::Time finish = policy::FinishUnder(
      limits, start + fetch, absl::Seconds(work_seconds) - fetch - upload, draw, spent);
  return std::min(absl::ToDoubleSeconds(finish + upload - now), kNever);
}

}  // namespace

double FleetView::PlaceInGap(const JobOnDevice& on, const Described& described,
                             v1::Candidate& candidate) const {
  const auto& [job, view, limits, load] = on;
  const v1::Prediction& alone = described.candidate.prediction();
  const v1::Prediction& prediction = candidate.prediction();
  absl::Time start = std::max(load.free_at, snapshot_.now);
  // Behind the last reservation there is always a gap.
  for (auto next = load.reserved.begin();; ++next) {
    candidate.set_start_in_seconds(absl::ToDoubleSeconds(start - snapshot_.now));
    const bool on_its_way = HasWayOfFiles(load, alone);
    if (on_its_way) {
      *candidate.mutable_prediction() =
          OnItsWay({job, view, load, start}, alone, described.warm_start_seconds);
    }
    if (described.hot.has_value()) {
      *candidate.mutable_prediction() = Stretched(*described.hot, on_its_way ? prediction : alone,
                                                  HeatAt(view.device, load, start));
    } else if (!on_its_way && described.link != nullptr) {
      *candidate.mutable_prediction() = alone;
    }
    if (described.link != nullptr) {
      const bool here = view.device.connected() && start <= snapshot_.now;
      AwaitLink(*described.link, {view.device, start, here}, *candidate.mutable_prediction());
    }
    const Joules spent =
        limits.budget ? BudgetSpent(limits, view.device, load, snapshot_.now, start) : Joules(0);
    const double upper =
        prediction.run_seconds().high() + SlowTransferSeconds(view.device, prediction);
    const double finish_upper = FinishIn(snapshot_.now, limits, spent, candidate, upper);
    if (next == load.reserved.end() || snapshot_.now + absl::Seconds(finish_upper) <= next->begin) {
      candidate.set_finish_in_seconds(
          FinishIn(snapshot_.now, limits, spent, candidate, prediction.run_seconds().mean()));
      return finish_upper;
    }
    start = std::max(start, next->end);
  }
}

double FleetView::FinishLower(const JobOnDevice& on, const v1::Candidate& candidate) const {
  const auto& [job, view, limits, load] = on;
  const absl::Time start = snapshot_.now + absl::Seconds(candidate.start_in_seconds());
  const Joules spent =
      limits.budget ? BudgetSpent(limits, view.device, load, snapshot_.now, start) : Joules(0);
  return FinishIn(snapshot_.now, limits, spent, candidate,
                  candidate.prediction().run_seconds().low());
}

}  // namespace wattle::scheduler
