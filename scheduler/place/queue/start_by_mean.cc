// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A job that would be late at the upper quantile of its run in every order may still be in time. A
// probable success outweighs the joules of a late run. Runs that rest at a reserve have no such
// start, because their end is that of a dark day.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "scheduler/place/queue/queue_planner_internal.h"
#include "scheduler/place/rules/rule.h"

namespace wattle::scheduler {

bool QueuePlanner::MayStartByMean(const Job& job) {
  const EvaluatedDevices evaluated = fleet_.EvaluateDevicesNowOrLater(*job.view, *job.work, loads_);
  const auto may = [&evaluated](const Option* option) {
    return option->feasible() || !option->verdict.permanent() ||
           (Rules()[option->verdict.rule].name == "deadline" &&
            option->run.finish_in_seconds <= evaluated.deadline_in_seconds);
  };
  return std::any_of(evaluated.options.begin(), evaluated.options.end(), may);
}

size_t QueuePlanner::OwnTurn(size_t job) const {
  size_t turn = 0;
  size_t place = 0;  // Not counting the job itself.
  for (const size_t other : arrangement_.order) {
    if (other != job) {
      ++place;
      turn = turns_[other] < turns_[job] ? place : turn;
    }
  }
  return turn;
}

bool QueuePlanner::StartByMean(Outcome& plan) {
  bool any = false;
  // Late jobs leave at least half of the trials, and the later steps keep the last quarter.
  const size_t end = trial_placements_ + kTrialPlacementsMax / 4;
  Order all = arrangement_.order;
  std::sort(all.begin(), all.end(), [this](size_t a, size_t b) { return turns_[a] < turns_[b]; });
  for (const size_t i : all) {
    Job& job = jobs_[i];
    if (job.view->spec.deadline_seconds() <= 0 || plan.places.starts[i].has_value() ||
        job.decided.has_value() || !job.work.ok()) {
      continue;
    }
    if (trial_placements_ + 2 * PlacementCost() > end) {
      break;
    }
    fleet_.BeginPass();
    trial_placements_ += PlacementCost();
    if (!MayStartByMean(job)) {
      continue;
    }
    trial_placements_ += PlacementCost();
    job.probably_in_time =
        fleet_.EvaluateDevicesNowOrLater(*job.view, *job.work, loads_, DeadlineBy::kMean).feasible >
        0;
    if (job.probably_in_time) {
      StartOneByMean(i, end, plan);
      any = true;
    }
  }
  return any;
}

void QueuePlanner::StartOneByMean(size_t job, size_t trials_end, Outcome& plan) {
  // By its mean the job is not hopeless, so the trial must count its lateness.
  const bool was_hopeless = std::exchange(jobs_[job].is_hopeless, false);
  for (size_t turn = OwnTurn(job); HasTrialLeft(trials_end); turn = 0) {
    Arrangement trial = MovedTo(job, turn);
    trial.deadline_by[job] = DeadlineBy::kMean;
    std::optional<Outcome> outcome = TryFor(job, trial, loads_, plan);
    if (outcome.has_value() && outcome->places.starts[job].has_value() &&
        KeepsPlaces(plan, *outcome)) {
      arrangement_ = std::move(trial);
      plan = *std::move(outcome);
      return;
    }
    if (turn == 0) {
      break;
    }
  }
  jobs_[job].is_hopeless = was_hopeless;
}

bool QueuePlanner::KeepsPlaces(const Outcome& before, const Outcome& after) {
  for (size_t i = 0; i < before.places.starts.size(); ++i) {
    if (before.places.starts[i].has_value() && !after.places.starts[i].has_value()) {
      return false;
    }
  }
  return true;
}

}  // namespace wattle::scheduler
