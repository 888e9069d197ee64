// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "scheduler/place/queue/queue_planner_internal.h"
#include "scheduler/place/rules/anti_affinity.h"

namespace wattle::scheduler {

void QueuePlanner::HelpLateJobs(Outcome& plan) {
  const size_t end = kTrialPlacementsMax / 2;
  const Order all = arrangement_.order;
  for (auto job = all.begin(); job != all.end() && trial_placements_ < end; ++job) {
    if (!plan.late[*job]) {
      continue;
    }
    const auto behind =
        std::count_if(job + 1, all.end(), [&plan](size_t one) { return plan.late[one]; });
    const size_t share =
        std::max((end - trial_placements_) / static_cast<size_t>(1 + behind), TrialPlacements());
    if (!PlanEarlier(*job, {.share = share, .end = end}, plan)) {
      ReleaseForJob(*job, end, plan);
    }
  }
}

bool QueuePlanner::Hurts(const Helped& helped, size_t job) const {
  return job == helped.job ||
         (!helped.late_before[job] && jobs_[job].priority >= jobs_[helped.job].priority);
}

std::optional<QueuePlanner::Outcome> QueuePlanner::TryFor(size_t job, const Arrangement& trial,
                                                          const FleetLoads& loads,
                                                          const Outcome& plan) {
  const Helped helped{.job = job, .late_before = plan.late};
  Outcome outcome = Pass(trial, loads, nullptr, &helped);
  trial_placements_ += outcome.looked_at * PlacementCost();
  return outcome.hurts ? std::nullopt : std::optional(std::move(outcome));
}

QueuePlanner::EarlierTurns QueuePlanner::FindEarlierTurns(size_t job, size_t trials_end) {
  const Order& order = arrangement_.order;
  const size_t at = static_cast<size_t>(std::find(order.begin(), order.end(), job) - order.begin());
  EarlierTurns turns;
  FleetLoads loads = loads_;
  fleet_.BeginPass();
  for (size_t turn = 0; turn < at && trial_placements_ < trials_end; ++turn) {
    // Powers of two: few trials, and dense near the job's own turn, because small changes hurt
    // least.
    if (turn == 0 || std::has_single_bit(at - turn)) {
      const EvaluatedDevices evaluated =
          fleet_.EvaluateDevicesNowOrLater(*jobs_[job].view, *jobs_[job].work, loads);
      trial_placements_ += PlacementCost();
      if (evaluated.feasible == 0) {  // After more jobs it is not in time either.
        turns.is_hopeless = turn == 0 && !IsHeldUp(evaluated, loads);
        break;
      }
      turns.in_time.insert(turns.in_time.begin(), turn);
    }
    PlaceNext(order[turn], loads);
    trial_placements_ += PlacementCost();
  }
  return turns;
}

QueuePlanner::Arrangement QueuePlanner::MovedTo(size_t job, size_t turn) const {
  Arrangement moved = arrangement_;
  moved.order.erase(std::find(moved.order.begin(), moved.order.end(), job));
  moved.order.insert(moved.order.begin() + static_cast<ptrdiff_t>(turn), job);
  return moved;
}

bool QueuePlanner::PlanEarlier(size_t job, const LateTrials& trials, Outcome& plan) {
  const EarlierTurns turns = FindEarlierTurns(job, trials.end);
  const size_t end = std::min(trials.end, trial_placements_ + trials.share);
  if (turns.is_hopeless) {  // The job takes no place, so the others keep theirs.
    arrangement_ = MovedTo(job, 0);
    jobs_[job].is_hopeless = true;
    plan.late[job] = false;
    return true;
  }
  for (const size_t turn : turns.in_time) {
    if (!HasTrialLeft(end)) {
      return false;
    }
    Arrangement trial = MovedTo(job, turn);
    if (std::optional<Outcome> outcome = TryFor(job, trial, loads_, plan)) {
      arrangement_ = std::move(trial);
      plan = *std::move(outcome);
      return true;
    }
  }
  return false;
}

DeviceLoad QueuePlanner::Released(size_t device, const DeviceLoad& load) const {
  return WithoutAttempt(snapshot_, load, device,
                        snapshot_.now + snapshot_.devices[device].releasable->hand_over);
}

DeviceLoad QueuePlanner::WithRest(const Job& job, const Option& chosen) const {
  const size_t device = chosen.run.device;
  const ReleasableAttempt& attempt = *snapshot_.devices[device].releasable;
  // On a board without windows and budget the rest's draw stays at the attempt's present time,
  // before the job's draw: this plan is more cautious about the pack.
  const bool pauses = loads_[device].times != nullptr;
  DeviceLoad load = pauses ? Released(device, loads_[device]) : loads_[device];
  load.free_at = snapshot_.now + attempt.hand_over;
  const absl::Time end = snapshot_.now + absl::Seconds(chosen.run.finish_in_seconds);
  load = WithRun(
      load, snapshot_.devices[device].device,
      {.job = *job.view, .prediction = *chosen.prediction, .begin = load.free_at, .end = end});
  const absl::Duration rest = attempt.resume + attempt.remaining;
  if (pauses) {
    return WithAttemptLater(snapshot_, load, device, end, rest);
  }
  load.free_at = end + rest;
  return load;
}

bool QueuePlanner::MayRelease(size_t device, const JobView& job) const {
  const std::optional<ReleasableAttempt>& attempt = snapshot_.devices[device].releasable;
  return attempt.has_value() && attempt->priority <= job.spec.priority() &&
         !taken_.contains(device);
}

std::optional<EvaluatedDevices> QueuePlanner::EvaluateReleases(const Job& job) {
  // Releases all candidates at once: one evaluation compares their devices.
  FleetLoads released = loads_;
  for (size_t device = 0; device < released.size(); ++device) {
    if (MayRelease(device, *job.view)) {
      SetLoad(device, Released(device, released[device]), released);
    }
  }
  EvaluatedDevices evaluated = fleet_.EvaluateDevices(*job.view, *job.work, released);
  fleet_.Complete(*job.view);
  for (size_t i = 0; i < static_cast<size_t>(evaluated.feasible); ++i) {
    const Option& option = *evaluated.options[i];
    const size_t device = option.run.device;
    if (MayRelease(device, *job.view) &&
        WithRest(job, option).free_at <= snapshot_.devices[device].releasable->deadline) {
      const auto at = evaluated.options.begin() + static_cast<ptrdiff_t>(i);
      std::rotate(evaluated.options.begin(), at, at + 1);
      return evaluated;
    }
  }
  return std::nullopt;
}

void QueuePlanner::ReleaseForJob(size_t index, size_t trials_end, Outcome& plan) {
  Job& job = jobs_[index];
  const auto may_release = [&](size_t device) { return MayRelease(device, *job.view); };
  std::vector<size_t> devices(loads_.size());
  std::iota(devices.begin(), devices.end(), size_t{0});
  if (std::none_of(devices.begin(), devices.end(), may_release)) {
    return;
  }
  const std::optional<EvaluatedDevices> evaluated = EvaluateReleases(job);
  trial_placements_ += PlacementCost();
  if (!evaluated.has_value() || !HasTrialLeft(trials_end)) {
    return;
  }
  const Option& chosen = *evaluated->options.front();
  const size_t device = chosen.run.device;
  const ReleasableAttempt& attempt = *snapshot_.devices[device].releasable;
  FleetLoads loads = loads_;
  SetLoad(device, WithRest(job, chosen), loads);
  HoldAntiAffinity(snapshot_, *job.view, device, loads);
  job.decided = PlacementOfJob(job, *evaluated);
  job.decided->releases = attempt.id;
  v1::Placement& placement = job.decided->placement;
  Ahead hand_over{.runs = {RunAhead{}}};  // The length of the hand-over is uncertain.
  NotePlace(index, chosen, hand_over, placement);
  placement.set_releases_attempt_id(attempt.id.value());
  placement.set_reason(absl::StrCat(placement.reason(), "; ", attempt.id.value(),
                                    " leaves the device for this job's deadline and goes on "
                                    "later from its checkpoint"));
  std::optional<Outcome> outcome = TryFor(index, arrangement_, loads, plan);
  if (!outcome.has_value()) {
    job.decided.reset();
    return;
  }
  taken_.insert(device);
  loads_ = std::move(loads);
  plan = *std::move(outcome);
}

}  // namespace wattle::scheduler
