// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "base/fault_point.h"
#include "scheduler/place/queue_planner_internal.h"

namespace wattle::scheduler {
namespace {

// An arrangement is taken for a gain above 1 %: plans that flutter tell people nothing.
constexpr int64_t kGainShare = 100;

}  // namespace

std::vector<QueuePlanner::Proposal> QueuePlanner::Proposals(const Outcome& plan) {
  Order order;
  for (const size_t i : arrangement_.order) {
    if (!jobs_[i].decided.has_value() && jobs_[i].work.ok()) {
      order.push_back(i);
    }
  }
  std::vector<Proposal> proposals;
  for (SearchBlock& block :
       SearchBlocks(snapshot_, loads_, order, plan.places,
                    fleet_.keeps_all() ? FleetParts::kMany : FleetParts::kOne)) {
    Rearrangement search(snapshot_, loads_, block.devices);
    for (const size_t i : block.jobs) {
      const Job& job = jobs_[i];
      search.Add(*job.view, fleet_.Starts(*job.view, *job.work, loads_, block.devices),
                 plan.places.starts[i]);
    }
    Rearrangement::Answer answer = search.Search();
    const bool expects_gain = ExpectsGain(block, search, answer.price, plan);
    // Of a large fleet a pass is worth its time for an expected gain alone.
    if (expects_gain || block.devices.size() == loads_.size()) {
      proposals.push_back(
          {std::move(block), std::move(search), std::move(answer.places), expects_gain});
    }
  }
  return proposals;
}

bool QueuePlanner::ExpectsGain(const SearchBlock& block, const Rearrangement& search,
                               timetable::Millijoules expected, const Outcome& plan) {
  timetable::Millijoules total = 0;
  for (size_t job = 0; job < block.jobs.size(); ++job) {
    const std::optional<RunStart>& start = plan.places.starts[block.jobs[job]];
    total += start.has_value() ? search.PriceOf(job, *start) : 0;
  }
  return total - expected > total / kGainShare;
}

QueuePlanner::Arrangement QueuePlanner::ArrangedBy(const std::vector<Proposal>& proposals,
                                                   const Outcome& plan) const {
  Arrangement trial = arrangement_;
  trial.order.clear();
  if (proposals.front().block.devices.size() < loads_.size()) {
    for (size_t i = 0; i < jobs_.size(); ++i) {
      const std::optional<RunStart>& start = plan.places.starts[i];
      trial.devices[i] = start.has_value() ? std::optional(start->device) : std::nullopt;
    }
  }
  std::vector<bool> is_arranged(jobs_.size(), false);
  for (const Proposal& proposal : proposals) {
    for (const Rearrangement::Place& place : proposal.places) {
      const size_t i = proposal.block.jobs[place.job];
      trial.order.push_back(i);
      trial.devices[i] = place.device;
      is_arranged[i] = true;
    }
  }
  std::copy_if(arrangement_.order.begin(), arrangement_.order.end(),
               std::back_inserter(trial.order), [&](size_t i) { return !is_arranged[i]; });
  return trial;
}

bool QueuePlanner::Arrange(Outcome& plan) {
  if (!HasTrialLeft()) {
    return false;
  }
  std::vector<Proposal> proposals = Proposals(plan);
  const int passes = WATTLE_FAULT_POINT("one pass for all parts") ? 1 : kChangePassesMax;
  for (int pass = 0; pass < passes; ++pass) {
    if (proposals.empty() || !MayTry()) {
      return false;
    }
    Arrangement trial = ArrangedBy(proposals, plan);
    Outcome outcome = Pass(trial, loads_);
    const size_t dropped = std::erase_if(proposals, [&](const Proposal& proposal) {
      const bool drops =
          !IsFair(proposal.block.jobs, plan, outcome) || !IsCheaper(proposal, plan, outcome);
      proposals_dropped_ += drops && proposal.expects_gain ? 1 : 0;
      return drops;
    });
    if (dropped > 0) {
      continue;
    }
    if (!IsFair(arrangement_.order, plan, outcome)) {
      proposals_dropped_ += static_cast<int>(proposals.size());
      return false;
    }
    arrangement_ = std::move(trial);
    plan = std::move(outcome);
    return true;
  }
  return false;
}

bool QueuePlanner::IsFair(const Order& jobs, const Outcome& before, const Outcome& after) const {
  constexpr double kRoundingSeconds = 1;
  if (WATTLE_FAULT_POINT("fair parts")) {
    return true;
  }
  return std::all_of(jobs.begin(), jobs.end(), [&](size_t i) {
    const std::optional<RunStart>& one = before.places.starts[i];
    const std::optional<RunStart>& other = after.places.starts[i];
    return !one.has_value() ||
           (other.has_value() &&
            other->start_in_seconds <= one->start_in_seconds + kRoundingSeconds &&
            (!EndCounts(jobs_[i].view->spec) ||
             other->finish_in_seconds <= one->finish_in_seconds + kRoundingSeconds));
  });
}

bool QueuePlanner::IsCheaper(const Proposal& proposal, const Outcome& before,
                             const Outcome& after) {
  const SearchBlock& block = proposal.block;
  timetable::Millijoules total = 0;
  timetable::Millijoules saved = 0;
  bool is_more_placed = false;
  for (size_t job = 0; job < block.jobs.size(); ++job) {
    const std::optional<RunStart>& one = before.places.starts[block.jobs[job]];
    const std::optional<RunStart>& other = after.places.starts[block.jobs[job]];
    if (other.has_value() && std::find(block.devices.begin(), block.devices.end(), other->device) ==
                                 block.devices.end()) {
      return false;
    }
    is_more_placed = is_more_placed || (!one.has_value() && other.has_value());
    if (one.has_value()) {
      total += proposal.search.PriceOf(job, *one);
      saved += proposal.search.PriceOf(job, *one) - proposal.search.PriceOf(job, *other);
    }
  }
  return is_more_placed || saved > total / kGainShare;
}

}  // namespace wattle::scheduler
