// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/sun/reserve_pauses.h"

#include <algorithm>

#include "absl/time/time.h"

#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/timetable/amounts.h"

namespace wattle::scheduler {
namespace {

using timetable::Demand;
using timetable::Seconds;

constexpr size_t kDarkerUpper = 10;  // kDarkerMean for the upper end.
// The charge must supply this much of the run before its first rest, because each rest costs a
// checkpoint and a start of the runner.
constexpr Seconds kFirstMin = timetable::kHour / 3;
constexpr Seconds kFirstOverRestart = 20;
// A run rests only if it then ends earlier by this share of its length.
constexpr Seconds kEarlierShare = 10;

// The end of the run with its rests; nullopt: it cannot begin, or its end is unknown.
std::optional<Seconds> EndWithRests(const PausableRun& run, Seconds begin) {
  return run.pack.Fits({.begin = begin, .draw = FirstPartOf(run)})
             ? run.pack.EndIfPaused({.begin = begin, .draw = run.whole}, run.restart, kDarkerMean)
             : std::nullopt;
}

// The rests of a run that begins at `begin` and ends at `end` at its mean.
ReservePauses RestsUntil(const PausableRun& run, Seconds begin, Seconds end) {
  ReservePauses rests{.total = std::max<Seconds>(1, end - begin - run.whole.length),
                      .upper = std::nullopt};
  Demand upper{.begin = begin, .draw = run.whole};
  upper.draw.length = run.upper;
  if (const auto last = run.pack.EndIfPaused(upper, run.restart, kDarkerUpper)) {
    rests.upper = std::max<Seconds>(rests.total, *last - upper.end());
  }
  return rests;
}

bool IsInTime(const PausableRun& run, Seconds begin, const ReservePauses& rests) {
  return !run.latest_end.has_value() ||
         (rests.upper.has_value() && begin + run.upper + *rests.upper <= *run.latest_end);
}

bool IsEarlier(const PausableRun& run, std::optional<Seconds> end,
               std::optional<Seconds> whole_begin) {
  return end.has_value() && (!whole_begin.has_value() || *end + run.whole.length / kEarlierShare <
                                                             *whole_begin + run.whole.length);
}

}  // namespace

std::optional<Seconds> LatestEndOf(const JobView& job, absl::Time now) {
  const double left = job.spec.deadline_seconds() - job.WaitedSeconds(now);
  return job.spec.deadline_seconds() > 0
             ? std::optional(absl::ToUnixSeconds(now + absl::Seconds(left)))
             : std::nullopt;
}

bool MayPause(const v1::Device& device, const policy::Limits& limits) {
  return HasGauge(device) && (limits.reserve.has_value() || !limits.alive.empty()) &&
         limits.windows.empty() && !limits.budget.has_value();
}

std::optional<PausableRun> PausableRunOf(const RunOnBoard& on) {
  const auto& [device, load, limits, steps, prediction] = on;
  if (load.pack == nullptr || !steps.keeps_checkpoints || IsWide(prediction) ||
      !MayPause(device, limits)) {
    return std::nullopt;
  }
  const std::optional<timetable::Draw> whole = WholeDrawOf(device, steps, prediction);
  if (!whole.has_value()) {
    return std::nullopt;
  }
  const auto seconds = [](double amount) { return timetable::SecondsUp(absl::Seconds(amount)); };
  return PausableRun{
      .pack = *load.pack,
      .whole = *whole,
      .upper = seconds(std::max(1.0, TotalSeconds(prediction, prediction.run_seconds().high()))),
      .restart = seconds(prediction.start_seconds())};
}

std::optional<PausableRun> PausableRunOf(const RunOnBoard& on, const JobView& job, absl::Time now) {
  std::optional<PausableRun> run = job.profile_point.has_value() ? std::nullopt : PausableRunOf(on);
  if (run.has_value()) {
    run->latest_end = LatestEndOf(job, now);
  }
  return run;
}

timetable::Draw FirstPartOf(const PausableRun& run) {
  timetable::Draw first = run.whole;
  first.length = std::min(first.length, std::max(kFirstMin, kFirstOverRestart * run.restart));
  return first;
}

std::optional<ReservePauses> ReservePausesFrom(const PausableRun& run, Seconds begin) {
  const Demand whole{.begin = begin, .draw = run.whole};
  if (run.pack.Fits(whole)) {
    return std::nullopt;
  }
  const std::optional<Seconds> end = EndWithRests(run, begin);
  if (!end.has_value() || !IsEarlier(run, end, run.pack.EarliestFit(run.whole, begin))) {
    return std::nullopt;
  }
  // The deadline must hold on a dark day, although the expected end is that of a median day.
  const ReservePauses rests = RestsUntil(run, begin, *end);
  return IsInTime(run, begin, rests) ? std::optional(rests) : std::nullopt;
}

Seconds ReservePauseOnceBegun(const PausableRun& run) {
  const Demand whole{.begin = run.pack.spec().now, .draw = run.whole};
  if (run.pack.Fits(whole)) {
    return 0;
  }
  const std::optional<Seconds> end = run.pack.EndIfPaused(whole, run.restart, kDarkerMean);
  return std::max<Seconds>(1, end.value_or(run.pack.horizon()) - whole.end());
}

std::optional<Seconds> EarliestStart(const PausableRun& run, Seconds after) {
  const std::optional<Seconds> whole = run.pack.EarliestFit(run.whole, after);
  const std::optional<Seconds> begin = run.pack.EarliestFit(FirstPartOf(run), after);
  // Without an earlier begin, rests gain nothing.
  if (!begin.has_value() || begin == whole) {
    return whole;
  }
  const std::optional<Seconds> end = EndWithRests(run, *begin);
  return IsEarlier(run, end, whole) && IsInTime(run, *begin, RestsUntil(run, *begin, *end)) ? begin
                                                                                            : whole;
}

}  // namespace wattle::scheduler
