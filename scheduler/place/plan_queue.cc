// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans the queue job by job. Each job takes its best device, at the time when the device is free
// after the decisions before. A waiting job keeps its place on the device, so that no later job can
// push it back.
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "scheduler/place/consider_internal.h"
#include "scheduler/place/explain_internal.h"
#include "scheduler/place/place.h"
#include "scheduler/place/selector.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/work.h"

namespace wattle::scheduler {
namespace {

// Each hour of waiting raises the priority by 1. A job of priority -100 therefore overtakes a new
// job of priority 100 after 200 h.
constexpr absl::Duration kAgeing = absl::Hours(1);

int64_t EffectivePriority(const JobView& job, absl::Time now) {
  if (job.submitted >= now || job.submitted == absl::InfinitePast()) {
    return job.spec.priority();
  }
  return job.spec.priority() + (now - job.submitted) / kAgeing;
}

// Ids are "j" and a number, so they are ordered by length first: "j9" before "j10".
std::vector<const JobView*> InPlanningOrder(const Snapshot& snapshot) {
  std::vector<const JobView*> order;
  for (const JobView& job : snapshot.queue) {
    order.push_back(&job);
  }
  const auto rank = [&snapshot](const JobView* job) {
    return std::make_tuple(-EffectivePriority(*job, snapshot.now), job->submitted,
                           job->id.value().size(), absl::string_view(job->id.value()));
  };
  std::sort(order.begin(), order.end(),
            [&rank](const JobView* a, const JobView* b) { return rank(a) < rank(b); });
  return order;
}

// Marks the chosen device as busy until the job's expected end, and adds the job's joules to the
// battery's promised joules.
void ReserveDevice(const Considered& considered, const Snapshot& snapshot,
                   std::vector<DeviceLoad>* loads) {
  const v1::Candidate& chosen = *considered.candidates.front();
  DeviceLoad& load = (*loads)[considered.devices.front()];
  load.free_at = snapshot.now + absl::Seconds(chosen.finish_in_seconds());
  load.committed +=
      GrossDemand(chosen.prediction(), Joules(chosen.prediction().run_energy_joules().high()));
}

}  // namespace

std::vector<QueuePlacement> PlanQueue(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  std::vector<DeviceLoad> loads = InitialLoads(snapshot);
  FleetView fleet(snapshot, ConsiderOptions{});
  std::vector<QueuePlacement> placements;
  placements.reserve(snapshot.queue.size());
  for (const JobView* job : InPlanningOrder(snapshot)) {
    const ObjectiveRow& objective = ObjectiveOf(job->spec.objective());
    QueuePlacement placed;
    placed.job = job->id;
    const absl::StatusOr<WorkAmount> work = WorkOf(job->spec, job->inputs, *snapshot.profiles);
    if (!work.ok()) {
      placed.placement.set_objective(objective.objective);
      placed.placement.set_reason(std::string(work.status().message()));
      placed.never = true;
      placements.push_back(std::move(placed));
      continue;
    }
    const Considered considered = fleet.Consider(*job, *work, loads);
    placed.placement = PlacementOf(considered, objective);
    placed.never = NeverFeasible(considered);
    if (considered.feasible > 0) {
      placed.power_mode = considered.candidates.front()->power_mode();
      placed.prediction = considered.candidates.front()->prediction();
      placed.model_choice = considered.candidates.front()->model_choice();
      ReserveDevice(considered, snapshot, &loads);
    }
    placements.push_back(std::move(placed));
  }
  return placements;
}

}  // namespace wattle::scheduler
