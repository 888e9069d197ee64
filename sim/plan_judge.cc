// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/plan_judge.h"

#include <algorithm>
#include <cstddef>

#include "scheduler/place/check_places.h"

namespace wattle::sim {
namespace {

// In a fleet of this many boards each plan is checked, in one twice as large every second one.
constexpr size_t kBoardsOfEachPlan = 64;

}  // namespace

std::optional<std::string> PlanJudge::Judge(const scheduler::Snapshot& snapshot,
                                            const core::PlanComputed& plan) {
  const size_t every = std::max<size_t>(1, snapshot.devices.size() / kBoardsOfEachPlan);
  const bool is_looked_at = plans_++ % every == 0;
  const bool any_leaves = std::any_of(
      plan.jobs.begin(), plan.jobs.end(),
      [](const scheduler::QueuePlacement& placed) { return !placed.releases.value().empty(); });
  return is_looked_at && !any_leaves ? scheduler::CheckPlaces(snapshot, plan.jobs) : std::nullopt;
}

}  // namespace wattle::sim
