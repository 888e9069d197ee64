// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Judges the plans of a simulation by rules that share no code with what makes them
// (scheduler/place/check_places.h).
#ifndef WATTLE_SIM_PLAN_JUDGE_H_
#define WATTLE_SIM_PLAN_JUDGE_H_

#include <cstddef>
#include <optional>
#include <string>

#include "coordinator/core/command.h"
#include "scheduler/place/snapshot.h"

namespace wattle::sim {

class PlanJudge {
 public:
  // The first rule that the plan breaks, with its numbers; nullopt: none, or nobody looked. Of a
  // large fleet few plans are looked at, because that takes about as long as to make one. Not
  // looked at is also a plan for which an attempt leaves its board: what the attempt goes on to do
  // later is known to its planner alone.
  std::optional<std::string> Judge(const scheduler::Snapshot& snapshot,
                                   const core::PlanComputed& plan);

 private:
  size_t plans_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_PLAN_JUDGE_H_
