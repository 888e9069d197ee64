// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/queue/start_spans.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "policy/schedule.h"
#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/device/transfer_schedule.h"
#include "scheduler/place/device/work_times.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/sun/reserve_pauses.h"
#include "scheduler/predict/predict.h"
#include "scheduler/timetable/amounts.h"

namespace wattle::scheduler {
namespace {

// Percentiles of the paths: nine of ten lie between.
constexpr size_t kDarkOfTwenty = 5;
constexpr size_t kBrightOfTwenty = 95;
// Tolerance for moments that were converted to double seconds, or rounded up to whole ones.
constexpr absl::Duration kSameMoment = absl::Seconds(2);
constexpr absl::string_view kBatteryRule = "battery_reserve";

bool EndsBehind(absl::Time moment, const RunAhead& run) {
  return moment < run.end;
}

bool IsSame(absl::Time a, absl::Time b) {
  return absl::AbsDuration(a - b) <= kSameMoment;
}

}  // namespace

RunAhead AttemptAheadOn(const Snapshot& snapshot, size_t device, const DeviceLoad& load) {
  const DeviceView& view = snapshot.devices[device];
  RunAhead attempt{.end = std::max(load.free_at, snapshot.now), .span = std::nullopt};
  if (load.free_at <= snapshot.now) {
    attempt.span = {snapshot.now, snapshot.now};
    return attempt;
  }
  std::optional<WorkAhead> ahead = AttemptAhead(view, view.free_at, snapshot.now);
  if (!ahead.has_value() || view.hands_over || view.remaining_high <= absl::ZeroDuration()) {
    return attempt;
  }
  const WorkTimes* const times = load.times.get();
  if (times != nullptr && times->budget.has_value() &&
      policy::DayOf(*times->budget, ahead->begin) == policy::DayOf(*times->budget, snapshot.now)) {
    ahead->spent = Joules(view.device.heartbeat().budget_day_energy_joules());
  }
  const auto end_of = [&](absl::Duration work) {
    ahead->work = std::max(work, absl::Seconds(1));
    const std::vector<policy::WorkPiece> pieces = PiecesOf(times, *ahead);
    return pieces.empty() ? snapshot.now + kNeverEnds : pieces.back().end;
  };
  if (!IsSame(end_of(ahead->work), load.free_at)) {
    return attempt;  // The attempt rests for charge, or leaves: its own work does not determine its
                     // end.
  }
  attempt.span = {std::min(end_of(view.remaining_low), attempt.end),
                  std::max(end_of(view.remaining_high), attempt.end)};
  return attempt;
}

void InsertAhead(const RunAhead& run, std::vector<RunAhead>& runs) {
  runs.insert(std::upper_bound(runs.begin(), runs.end(), run.end, EndsBehind), run);
}

const RunAhead& LastAhead(const std::vector<RunAhead>& runs, absl::Time start) {
  const auto behind = std::upper_bound(runs.begin(), runs.end(), start + kSameMoment, EndsBehind);
  return behind == runs.begin() ? runs.front() : *std::prev(behind);
}

std::optional<TimeSpan> SpanUnderSun(const timetable::Pack& pack, const timetable::Draw& draw,
                                     absl::Time start, const TimeSpan& free) {
  const auto first = [&](size_t darker_percent, absl::Time after) {
    return pack.EarliestFitIn(darker_percent, draw, timetable::UnixSecondsUp(after));
  };
  const std::optional<timetable::Seconds> late = first(kDarkOfTwenty, std::min(free.high, start));
  if (!late.has_value()) {
    return std::nullopt;
  }
  const std::optional<timetable::Seconds> early = first(kBrightOfTwenty, free.low);
  return TimeSpan{.low = early.has_value() ? std::min(start, absl::FromUnixSeconds(*early)) : start,
                  .high = std::max({start, absl::FromUnixSeconds(*late), free.high})};
}

std::optional<TimeSpan> FleetView::StartSpan(const JobOnDevice& on, const Option& option,
                                             const RunAhead& ahead) const {
  const absl::Time start = snapshot_.now + absl::Seconds(option.run.start_in_seconds);
  if (option.run.start_in_seconds <= 0) {
    return TimeSpan{start, start};
  }
  if (!ahead.span.has_value()) {
    return std::nullopt;
  }
  const auto opens = [&](absl::Time at) {
    at = std::max(at, snapshot_.now);
    return on.windows.always() ? at : on.windows.OpensAt(at);
  };
  const TimeSpan free{opens(ahead.span->low), opens(ahead.span->high)};
  if (IsSame(start, opens(ahead.end))) {  // Neither charge nor a budget delays it further.
    return TimeSpan{std::min(free.low, start), std::max(free.high, start)};
  }
  if (!option.waits_for_rule.has_value() || on.load.pack == nullptr ||
      Rules()[*option.waits_for_rule].name != kBatteryRule) {
    return std::nullopt;
  }
  std::optional<timetable::Draw> draw = DrawOf(on.view.device, on.steps, *option.prediction);
  if (option.run.rest_seconds > 0) {  // The charge only has to supply its first part.
    const auto resting = PausableRunOf(
        {on.view.device, on.load, on.limits, on.steps, *option.prediction}, on.job, snapshot_.now);
    draw = resting.has_value() ? std::optional(FirstPartOf(*resting)) : std::nullopt;
  }
  const std::optional<TimeSpan> span =
      draw.has_value() ? SpanUnderSun(*on.load.pack, *draw, start, free) : std::nullopt;
  return span.has_value() ? std::optional(TimeSpan{std::min(opens(span->low), start),
                                                   std::max(opens(span->high), start)})
                          : std::nullopt;
}

void FleetView::AddSpans(const JobView& job, const Option& option, const RunAhead& ahead,
                         v1::Candidate& candidate) const {
  const size_t device = option.run.device;
  if (option.prediction == nullptr) {  // The device was not evaluated.
    return;
  }
  const JobOnDevice on = On(device, job, latest_->loads[device], *latest_);
  const std::optional<TimeSpan> start = StartSpan(on, option, ahead);
  if (!start.has_value()) {
    return;
  }
  const v1::Prediction& prediction = *option.prediction;
  const auto seconds = [this](absl::Time at) { return absl::ToDoubleSeconds(at - snapshot_.now); };
  const auto finish = [&](absl::Time begin, double run_seconds) {
    const Joules spent = on.limits.budget ? BudgetSpent(on.load, begin) : Joules(0);
    return FinishIn(snapshot_.now, on.limits, on.windows, {prediction, seconds(begin), spent},
                    run_seconds);
  };
  const double later = seconds(start->high) - option.run.start_in_seconds;
  const double high =
      option.run.rest_seconds > 0 || later <= 0
          ? option.finish_in_seconds_upper + later
          : finish(start->high, prediction.run_seconds().high() +
                                    SlowTransferSeconds(on.view.device, prediction));
  if (option.run.start_in_seconds > 0) {
    candidate.set_start_low_in_seconds(seconds(start->low));
    candidate.set_start_high_in_seconds(seconds(start->high));
  }
  if (high < absl::ToDoubleSeconds(kNeverEnds)) {
    candidate.set_finish_low_in_seconds(
        std::min(option.run.finish_in_seconds, finish(start->low, prediction.run_seconds().low())));
    candidate.set_finish_high_in_seconds(std::max(option.run.finish_in_seconds, high));
  }
}

}  // namespace wattle::scheduler
