// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The plan that stands, and what a longer search finds for it until the next plan. The search works
// on a copy of the planner's snapshot, so another thread may do it. Its answer goes back with the
// sequence number of its state. The next plan goes on from the answer as far as its jobs still
// wait, under all rules of the state that it is made for. Pure: bounded by counts, never by time.
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
  scheduler::Snapshot snapshot;  // Its jobs have the places of the plan that stands.
  scheduler::SearchEffort effort;
};
struct ImprovedPlan {
  SequenceNumber computed_on;                      // As PlanComputed's.
  std::map<JobId, scheduler::LastPlace> places{};  // Empty: nothing cheaper was found.
  int proposals_dropped = 0;
};
ImprovedPlan Improve(const PlanToImprove& plan);

// Of one planner; one thread owns an object.
class StandingPlan {
 public:
  // Plans the snapshot from the places of the latest answer, where there is one, else from those of
  // the latest plan. An answer is used once, because its plan has the places from then on.
  // PlanComputed::proposals_dropped counts an answer too of which no job waits any more.
  PlanComputed Plan(scheduler::Snapshot& snapshot);
  // What to search for after this plan; nullopt: nothing. That is so if the plan starts or moves a
  // job, because the state then changes at once; if fewer than two jobs wait; if jobs and boards
  // are so many that a search would cost many plans; and after a few rounds for one state.
  std::optional<PlanToImprove> NextSearch(scheduler::Snapshot snapshot, const PlanComputed& plan);
  void Take(ImprovedPlan answer) { answer_ = std::move(answer); }

 private:
  std::optional<ImprovedPlan> answer_;
  SequenceNumber searched_;  // The state of the latest search.
  int rounds_ = 0;           // Of that state.
};

// A plan, and the search behind it at once: for a simulator, whose time stands still meanwhile.
PlanComputed PlanAndImprove(StandingPlan& standing, scheduler::Snapshot snapshot);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_STANDING_PLAN_H_
