// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a run on a device begins and ends: in the first gap between its reservations, with the
// waits of its link, the pauses of its windows and budget, and its rests at the reserve.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/device/transfer_schedule.h"
#include "scheduler/place/device/work_times.h"
#include "scheduler/place/sun/reserve_pauses.h"
#include "scheduler/predict/predict.h"

namespace wattle::scheduler {
void FleetView::PlaceInGap(const JobOnDevice& on, const Described& described,
                           Option& option) const {
  const auto& [device, job, view, limits, windows, load, steps, deadline_by] = on;
  const v1::Prediction& alone = *described.prediction;
  const bool on_its_way = HasTransferSchedule(job, load, alone, described.warm_start_seconds);
  const std::optional<LinkTimes>& link = links_[device];
  std::shared_ptr<v1::Prediction> changed;  // Null: the start does not change the prediction.
  if (on_its_way || described.hot.has_value() || link.has_value()) {
    changed = std::make_shared<v1::Prediction>();
  }
  const v1::Prediction& prediction = changed != nullptr ? *changed : alone;
  std::optional<ReservePauses> rests;
  absl::Time start = std::max(load.free_at, snapshot_.now);
  // The time after the last reservation is always free.
  for (auto next = load.reserved.begin();; ++next) {
    option.run.start_in_seconds = absl::ToDoubleSeconds(start - snapshot_.now);
    if (changed != nullptr) {
      *changed = on_its_way ? WithTransferSchedule({job, view, load, start}, alone,
                                                   described.warm_start_seconds)
                            : alone;
    }
    if (described.hot.has_value()) {
      *changed = Stretched(*described.hot, *changed, HeatAt(view.device, load, start));
    }
    if (link.has_value()) {
      const bool here = view.device.connected() && start <= snapshot_.now;
      AwaitLink(*link, {view.device, start, here}, *changed);
    }
    const Joules spent = limits.budget ? BudgetSpent(load, start) : Joules(0);
    const RunFromStart run{prediction, option.run.start_in_seconds, spent};
    const double upper =
        prediction.run_seconds().high() + SlowTransferSeconds(view.device, prediction);
    option.finish_in_seconds_upper = FinishIn(snapshot_.now, limits, windows, run, upper);
    // Rests depend on the start, so each gap computes them again.
    rests.reset();
    if (const auto resting =
            PausableRunOf({view.device, load, limits, steps, prediction}, job, snapshot_.now)) {
      rests = ReservePausesFrom(*resting, timetable::UnixSecondsUp(start));
    }
    if (rests.has_value()) {
      option.finish_in_seconds_upper =
          rests->upper.has_value()
              ? option.finish_in_seconds_upper + static_cast<double>(*rests->upper)
              : absl::ToDoubleSeconds(kNeverEnds);
    }
    // The upper end decides, so that no reserved run is delayed (conservative backfill).
    if (next == load.reserved.end() ||
        snapshot_.now + absl::Seconds(option.finish_in_seconds_upper) <= next->begin) {
      option.run.finish_in_seconds =
          FinishIn(snapshot_.now, limits, windows, run, prediction.run_seconds().mean());
      break;
    }
    start = std::max(start, next->end);
  }
  if (rests.has_value()) {
    option.run.rest_seconds = static_cast<double>(rests->total);
    option.run.finish_in_seconds += option.run.rest_seconds;
    changed = changed != nullptr ? std::move(changed) : std::make_shared<v1::Prediction>(alone);
    changed->set_rest_seconds(option.run.rest_seconds);
  }
  option.prediction = changed != nullptr ? changed : described.prediction;
}

double FleetView::FinishLower(const JobOnDevice& on, const Option& option) const {
  const auto& [device, job, view, limits, windows, load, steps, deadline_by] = on;
  const absl::Time start = snapshot_.now + absl::Seconds(option.run.start_in_seconds);
  const Joules spent = limits.budget ? BudgetSpent(load, start) : Joules(0);
  return FinishIn(snapshot_.now, limits, windows,
                  {*option.prediction, option.run.start_in_seconds, spent},
                  option.prediction->run_seconds().low());
}

}  // namespace wattle::scheduler
