// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "scheduler/place/apart.h"
#include "scheduler/place/queue_planner_internal.h"

namespace wattle::scheduler {

void QueuePlanner::HelpLateJobs(Outcome& plan) {
  const Order all = arrangement_.order;
  for (const size_t job : all) {
    if (plan.late[job] && !PlanEarlier(job, plan)) {
      ReleaseForJob(job, plan);
    }
  }
}

bool QueuePlanner::Helps(size_t job, const std::vector<bool>& before,
                         const std::vector<bool>& after) const {
  if (after[job]) {
    return false;
  }
  for (size_t i = 0; i < jobs_.size(); ++i) {
    if (after[i] && !before[i] && jobs_[i].priority >= jobs_[job].priority) {
      return false;
    }
  }
  return true;
}

bool QueuePlanner::PlanEarlier(size_t job, Outcome& plan) {
  const Order& order = arrangement_.order;
  const auto at = std::find(order.begin(), order.end(), job) - order.begin();
  for (ptrdiff_t steps = 1; at > 0; steps *= 2) {
    const ptrdiff_t to = std::max<ptrdiff_t>(at - steps, 0);
    if (!MayTry()) {
      return false;
    }
    Arrangement trial = arrangement_;
    std::rotate(trial.order.begin() + to, trial.order.begin() + at, trial.order.begin() + at + 1);
    Outcome outcome = Pass(trial, loads_);
    if (Helps(job, plan.late, outcome.late)) {
      arrangement_ = std::move(trial);
      plan = std::move(outcome);
      return true;
    }
    if (to == 0) {
      return false;
    }
  }
  return false;
}

DeviceLoad QueuePlanner::Released(size_t device, const DeviceLoad& load) const {
  return WithoutAttempt(load, device,
                        snapshot_.now + snapshot_.devices[device].releasable->hand_over);
}

DeviceLoad QueuePlanner::WithRest(size_t device, const Job& job,
                                  const v1::Candidate& chosen) const {
  const ReleasableAttempt& attempt = *snapshot_.devices[device].releasable;
  DeviceLoad load = loads_[device];
  load.free_at = snapshot_.now + attempt.hand_over;
  const absl::Time end = snapshot_.now + absl::Seconds(chosen.finish_in_seconds());
  load = WithRun(
      load, snapshot_.devices[device].device,
      {.job = *job.view, .prediction = chosen.prediction(), .begin = load.free_at, .end = end});
  load.free_at = end + attempt.resume + attempt.remaining;
  return load;
}

bool QueuePlanner::MayRelease(size_t device, const JobView& job) const {
  const std::optional<ReleasableAttempt>& attempt = snapshot_.devices[device].releasable;
  return attempt.has_value() && attempt->priority <= job.spec.priority() &&
         !taken_.contains(device);
}

std::optional<Considered> QueuePlanner::ConsiderReleases(const Job& job) {
  std::vector<DeviceLoad> released = loads_;
  for (size_t device = 0; device < released.size(); ++device) {
    if (MayRelease(device, *job.view)) {
      SetLoad(device, Released(device, released[device]), released);
    }
  }
  Considered considered = fleet_.Consider(*job.view, *job.work, released);
  for (size_t i = 0; i < static_cast<size_t>(considered.feasible); ++i) {
    const size_t device = considered.devices[i];
    if (MayRelease(device, *job.view) && WithRest(device, job, *considered.candidates[i]).free_at <=
                                             snapshot_.devices[device].releasable->deadline) {
      const auto at = static_cast<ptrdiff_t>(i);
      std::rotate(considered.devices.begin(), considered.devices.begin() + at,
                  considered.devices.begin() + at + 1);
      std::rotate(considered.candidates.begin(), considered.candidates.begin() + at,
                  considered.candidates.begin() + at + 1);
      return considered;
    }
  }
  return std::nullopt;
}

void QueuePlanner::ReleaseForJob(size_t index, Outcome& plan) {
  Job& job = jobs_[index];
  const auto may_release = [&](size_t device) { return MayRelease(device, *job.view); };
  std::vector<size_t> devices(loads_.size());
  std::iota(devices.begin(), devices.end(), size_t{0});
  if (std::none_of(devices.begin(), devices.end(), may_release) || !MayTry()) {
    return;
  }
  const std::optional<Considered> considered = ConsiderReleases(job);
  if (!considered.has_value()) {
    return;
  }
  const size_t device = considered->devices.front();
  const ReleasableAttempt& attempt = *snapshot_.devices[device].releasable;
  std::vector<DeviceLoad> loads = loads_;
  SetLoad(device, WithRest(device, job, *considered->candidates.front()), loads);
  HoldApart(snapshot_, *job.view, device, loads);
  job.decided = PlacementOfJob(job, *considered);
  job.decided->releases = attempt.id;
  v1::Placement& placement = job.decided->placement;
  NotePlace(nullptr, placement);
  placement.set_releases_attempt_id(attempt.id.value());
  placement.set_reason(absl::StrCat(placement.reason(), "; ", attempt.id.value(),
                                    " leaves the device for this job's deadline and goes on "
                                    "later from its checkpoint"));
  Outcome outcome = Pass(arrangement_, loads);
  if (!Helps(index, plan.late, outcome.late)) {
    job.decided.reset();
    return;
  }
  taken_.insert(device);
  loads_ = std::move(loads);
  plan = std::move(outcome);
}

}  // namespace wattle::scheduler
