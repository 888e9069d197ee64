// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A job that would be late at the upper quantile of its run in every order may still be in time. A
// deadline that is probably met counts more than the joules of a run that is late.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "scheduler/place/queue_planner_internal.h"

namespace wattle::scheduler {

bool QueuePlanner::StartByMean(Outcome& plan) {
  bool any = false;
  const size_t end = kTrialPlacementsMax / 2;  // As of late jobs: what comes after has the others.
  const Order all = arrangement_.order;
  for (const size_t i : all) {
    const Job& job = jobs_[i];
    if (job.view->spec.deadline_seconds() <= 0 || plan.places.starts[i].has_value() ||
        job.decided.has_value() || !job.work.ok()) {
      continue;
    }
    if (!HasTrialLeft(end)) {
      break;
    }
    fleet_.BeginPass();
    trial_placements_ += PlacementCost();
    if (fleet_.ConsiderNowOrLater(*job.view, *job.work, loads_, DeadlineBy::kMean).feasible > 0) {
      any = StartByMeanAt(i, end, plan) || any;
    }
  }
  return any;
}

bool QueuePlanner::StartByMeanAt(size_t index, size_t trials_end, Outcome& plan) {
  const Order& order = arrangement_.order;
  const size_t own =
      static_cast<size_t>(std::find(order.begin(), order.end(), index) - order.begin());
  const bool was_hopeless = std::exchange(jobs_[index].is_hopeless, false);
  for (size_t turn = own; HasTrialLeft(trials_end); turn = 0) {
    Arrangement trial = MovedTo(own, turn);
    trial.by_mean[index] = true;
    std::optional<Outcome> outcome = TryFor(index, trial, loads_, plan);
    if (outcome.has_value() && outcome->places.starts[index].has_value()) {
      arrangement_ = std::move(trial);
      plan = *std::move(outcome);
      return true;
    }
    if (turn == 0) {
      break;
    }
  }
  jobs_[index].is_hopeless = was_hopeless;
  return false;
}

}  // namespace wattle::scheduler
