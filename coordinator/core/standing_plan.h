// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The present plan, and a longer search that improves it until the next plan. The search works on a
// copy of the planner's snapshot, so another thread may run it. Its answer carries the sequence
// number of its state. The next plan starts from the answer for the jobs that still wait, under all
// rules of its own state. Pure: bounded by counts, never by time.
#ifndef WATTLE_COORDINATOR_CORE_STANDING_PLAN_H_
#define WATTLE_COORDINATOR_CORE_STANDING_PLAN_H_

#include <map>
#include <optional>
#include <utility>

#include "coordinator/core/command.h"
#include "scheduler/place/improve_queue.h"
#include "scheduler/place/snapshot.h"
#include "units/id.h"

namespace wattle::core {

struct PlanToImprove {
  scheduler::Snapshot snapshot;  // Its jobs have the places of the present plan.
  scheduler::SearchEffort effort;
};
struct ImprovedPlan {
  SequenceNumber computed_on;                      // See PlanComputed.
  std::map<JobId, scheduler::LastPlace> places{};  // Empty: the search found nothing cheaper.
  int proposals_dropped = 0;
};
ImprovedPlan Improve(const PlanToImprove& plan);

// One object per planner; one thread owns it.
class StandingPlan {
 public:
  // Plans the snapshot from the places of the latest answer if there is one, else from those of the
  // latest plan. An answer is used once, because its plan keeps the places from then on.
  // PlanComputed::proposals_dropped also counts an answer whose jobs all stopped waiting.
  PlanComputed Plan(scheduler::Snapshot& snapshot);
  // What to search for after this plan; nullopt: nothing. No search follows if the plan starts or
  // moves a job, because the state then changes at once; if fewer than two jobs wait; if there are
  // so many jobs and boards that a search would cost many plans; or after a few rounds for one
  // state.
  std::optional<PlanToImprove> NextSearch(scheduler::Snapshot snapshot, const PlanComputed& plan);
  void Take(ImprovedPlan answer) { answer_ = std::move(answer); }

 private:
  std::optional<ImprovedPlan> answer_;
  SequenceNumber searched_;  // The state of the latest search.
  int rounds_ = 0;           // Searches for that state.
};

// A plan with its search run at once, for simulators, whose clock stands still meanwhile.
PlanComputed PlanAndImprove(StandingPlan& standing, scheduler::Snapshot snapshot);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_STANDING_PLAN_H_
