// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/standing_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/time/time.h"

#include "coordinator/core/planning.h"
#include "scheduler/place/place.h"

namespace wattle::core {
namespace {

// Eight times the moves of a plan. A part of the fleet takes some tenths of a second with packs,
// and some hundredths on mains.
constexpr int kMovesOfAJob = 50;
constexpr int kMovesMax = 2'000;
// Searches for one state, each with other random numbers. The bound lets the coordinator of an idle
// fleet rest.
constexpr int kRoundsMax = 4;

// Jobs x boards. Beyond this number the planner may not keep its data about all pairs, and each
// trial of the search costs as much as a plan.
constexpr size_t kPairsMax = 40'000;

bool Waits(const scheduler::QueuePlacement& placed) {
  return placed.placement.wait() && !placed.queue && !placed.withdraw &&
         placed.releases.value().empty();
}

// Whether the plan leaves the state unchanged.
bool ChangesNothing(const PlanComputed& plan) {
  return plan.moves.empty() && std::all_of(plan.jobs.begin(), plan.jobs.end(),
                                           [](const scheduler::QueuePlacement& placed) {
                                             return placed.placement.device_id().empty()
                                                        ? !placed.profile_end.has_value()
                                                        : Waits(placed);
                                           });
}

}  // namespace

ImprovedPlan Improve(const PlanToImprove& plan) {
  scheduler::QueueImprovement found = scheduler::ImproveQueue(plan.snapshot, plan.effort);
  return {plan.snapshot.sequence, std::move(found.places), found.proposals_dropped};
}

PlanComputed StandingPlan::Plan(scheduler::Snapshot& snapshot) {
  bool is_late = answer_.has_value() && !answer_->places.empty();
  for (scheduler::JobView& job : snapshot.queue) {
    if (answer_.has_value() && answer_->places.contains(job.id)) {
      job.last_place = answer_->places.at(job.id);
      is_late = false;
    }
  }
  PlanComputed plan = ComputePlan(snapshot);
  if (answer_.has_value()) {
    plan.proposals_dropped += answer_->proposals_dropped + (is_late ? 1 : 0);
  }
  answer_.reset();
  return plan;
}

std::optional<PlanToImprove> StandingPlan::NextSearch(scheduler::Snapshot snapshot,
                                                      const PlanComputed& plan) {
  rounds_ = plan.computed_on == searched_ ? rounds_ : 0;
  searched_ = plan.computed_on;
  if (!ChangesNothing(plan) || rounds_ >= kRoundsMax ||
      snapshot.queue.size() * snapshot.devices.size() > kPairsMax) {
    return std::nullopt;
  }
  std::map<JobId, scheduler::LastPlace> places;
  for (const scheduler::QueuePlacement& placed : plan.jobs) {
    if (placed.placement.wait()) {
      places[placed.job] = {.device = DeviceId(placed.placement.device_id()),
                            .start = absl::UnixEpoch() +
                                     absl::Seconds(placed.placement.expected_start_unix_seconds())};
    }
  }
  if (places.size() < 2) {
    return std::nullopt;
  }
  for (scheduler::JobView& job : snapshot.queue) {
    const auto place = places.find(job.id);
    job.last_place = place == places.end() ? std::nullopt : std::optional(place->second);
  }
  ++rounds_;
  return PlanToImprove{std::move(snapshot),
                       {.moves_of_a_job = kMovesOfAJob,
                        .moves_max = kMovesMax,
                        .seed = static_cast<uint64_t>(1 + rounds_)}};
}

PlanComputed PlanAndImprove(StandingPlan& standing, scheduler::Snapshot snapshot) {
  PlanComputed plan = standing.Plan(snapshot);
  if (const auto search = standing.NextSearch(std::move(snapshot), plan)) {
    standing.Take(Improve(*search));
  }
  return plan;
}

}  // namespace wattle::core
