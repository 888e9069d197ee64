// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/place/probe_value_internal.h"
#include "scheduler/place/queue/queue_planner_internal.h"

namespace wattle::scheduler {

std::map<std::string, int> QueuePlanner::WaitingAlike(const Outcome& plan) const {
  std::map<std::string, int> waiting;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    waiting[jobs_[i].alike] += WaitsForProbe(plan.places.starts[i]) ? 1 : 0;
  }
  return waiting;
}

bool QueuePlanner::TryForOthers(Outcome& plan) {
  const std::vector<bool> free = DevicesToTry(snapshot_, plan.places);
  const std::map<std::string, int> waiting = WaitingAlike(plan);
  std::set<std::string> tried;
  const Order all = arrangement_.order;
  for (const size_t i : all) {
    const Job& job = jobs_[i];
    const std::optional<RunStart>& start = plan.places.starts[i];
    const int alike = waiting.at(job.alike);
    if (!WaitsForProbe(start) || alike < 2 || EndCounts(job.view->spec) ||
        tried.contains(job.alike)) {
      continue;
    }
    tried.insert(job.alike);
    fleet_.BeginPass();
    EvaluatedDevices evaluated = fleet_.EvaluateDevicesNowOrLater(*job.view, *job.work, loads_);
    fleet_.Complete(*job.view);
    const std::optional<size_t> device =
        FindTrial(snapshot_, free, {start->device, plan.costs[i], alike - 1}, &evaluated);
    if (device.has_value() && MayTry()) {
      TryOn(i, evaluated, plan);
    }
  }
  return std::any_of(jobs_.begin(), jobs_.end(), [](const Job& job) {
    return job.decided.has_value() && job.decided->releases.value().empty();
  });
}

void QueuePlanner::TryOn(size_t index, const EvaluatedDevices& evaluated, Outcome& plan) {
  FleetLoads loads = loads_;
  Reserve(*jobs_[index].view, *evaluated.options.front(), loads);
  jobs_[index].decided = PlacementOfJob(jobs_[index], evaluated);
  Outcome outcome = Pass(arrangement_, loads);
  Promises kept(jobs_.size());
  for (size_t i = 0; i < jobs_.size(); ++i) {
    if (const std::optional<RunStart>& run = plan.places.starts[i]; i != index && run.has_value()) {
      kept[i] = PromiseToKeep(*jobs_[i].view, *run);
    }
  }
  if (outcome.late != plan.late || !IsFair(arrangement_.order, kept, outcome)) {
    jobs_[index].decided.reset();
    return;
  }
  loads_ = std::move(loads);
  plan = std::move(outcome);
}

}  // namespace wattle::scheduler
