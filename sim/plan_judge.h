// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks the plans of a simulation by rules that share no code with the planner
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
  // The first rule that the plan breaks, with its numbers; nullopt: none, or the plan was not
  // checked. Only few plans of a large fleet are checked, because a check takes about as long as a
  // plan. A plan that makes an attempt leave its board is not checked either, because only its
  // planner knows how that attempt continues.
  std::optional<std::string> Judge(const scheduler::Snapshot& snapshot,
                                   const core::PlanComputed& plan);

 private:
  size_t plans_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_PLAN_JUDGE_H_
