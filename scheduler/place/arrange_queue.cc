// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/fault_point.h"
#include "scheduler/place/queue/queue_planner_internal.h"

namespace wattle::scheduler {
namespace {

// An arrangement needs a gain above 1 %, because plans that flutter are useless to people.
constexpr int64_t kGainShare = 100;

}  // namespace

std::vector<QueuePlanner::Part> QueuePlanner::PartsOf(const Outcome& plan,
                                                      const Promises& promises) {
  Order order;
  for (const size_t i : arrangement_.order) {
    if (!jobs_[i].decided.has_value() && jobs_[i].work.ok()) {
      order.push_back(i);
    }
  }
  std::vector<Part> parts;
  for (SearchBlock& block :
       SearchBlocks(snapshot_, loads_, order, plan.places,
                    fleet_.keeps_all() ? FleetParts::kMany : FleetParts::kOne)) {
    Rearrangement search(snapshot_, loads_, block.devices);
    for (const size_t i : block.jobs) {
      const Job& job = jobs_[i];
      search.Add(
          *job.view,
          fleet_.Starts(*job.view, *job.work, loads_, block.devices, arrangement_.deadline_by[i]),
          promises[i]);
    }
    parts.push_back({std::move(block), std::move(search)});
  }
  return parts;
}

std::vector<Rearrangement::Place> QueuePlanner::LatestOf(const Part& part,
                                                         const PlacesOfJobs& plan) const {
  const std::vector<size_t>& jobs = part.block.jobs;
  const std::vector<size_t>& devices = part.block.devices;
  // A search of the whole fleet may assign every device; a part must not touch the devices of
  // others.
  const bool is_whole_fleet = devices.size() == loads_.size();
  std::vector<Rearrangement::Place> places;
  std::vector<size_t> turns;  // Positions in `places` of the jobs that waited.
  std::vector<Rearrangement::Place> waited;
  for (size_t job = 0; job < jobs.size(); ++job) {
    const std::optional<RunStart>& start = plan.starts[jobs[job]];
    const std::optional<size_t> last = LastDeviceOf(*jobs_[jobs[job]].view);
    if (last.has_value() && std::find(devices.begin(), devices.end(), *last) != devices.end()) {
      turns.push_back(job);
      waited.push_back({job, last});
    }
    places.push_back(
        {job, is_whole_fleet || !start.has_value() ? std::nullopt : std::optional(start->device)});
  }
  std::stable_sort(waited.begin(), waited.end(),
                   [&](const Rearrangement::Place& a, const Rearrangement::Place& b) {
                     return jobs_[jobs[a.job]].view->last_place->start <
                            jobs_[jobs[b.job]].view->last_place->start;
                   });
  // Permutes only the jobs that waited, so newer jobs keep the turns that they have in order.
  for (size_t i = 0; i < turns.size(); ++i) {
    places[turns[i]] = waited[i];
  }
  return waited.empty() ? std::vector<Rearrangement::Place>() : places;
}

std::vector<QueuePlanner::Proposal> QueuePlanner::LatestProposals(const std::vector<Part>& parts,
                                                                  const PlacesOfJobs& plan) const {
  std::vector<Proposal> proposals;
  for (const Part& part : parts) {
    std::vector<Rearrangement::Place> places = LatestOf(part, plan);
    std::map<size_t, double> reached;  // By device: the start of the previous job.
    const bool differs = std::any_of(places.begin(), places.end(), [&](const auto& place) {
      const std::optional<RunStart>& start = plan.starts[part.block.jobs[place.job]];
      if (!place.device.has_value() || !start.has_value()) {
        return false;
      }
      const double before = std::exchange(reached[*place.device], start->start_in_seconds);
      return *place.device != start->device || start->start_in_seconds < before;
    });
    if (differs) {
      proposals.push_back({.part = &part, .places = std::move(places)});
    }
  }
  return proposals;
}

std::vector<QueuePlanner::Proposal> QueuePlanner::Proposals(std::vector<Part>& parts,
                                                            const Outcome& plan) {
  std::vector<Proposal> proposals;
  for (Part& part : parts) {
    Rearrangement::Answer answer = part.search.Search(effort_, LatestOf(part, plan.places));
    if (!answer.broken_rule.empty()) {
      ++proposals_dropped_;
      continue;
    }
    const bool expects_gain = ExpectsGain(part, answer.price, plan);
    // In a large fleet only an expected gain justifies the time of a pass.
    if (expects_gain || part.block.devices.size() == loads_.size()) {
      proposals.push_back({&part, std::move(answer.places), expects_gain, kGainShare});
    }
  }
  return proposals;
}

bool QueuePlanner::ExpectsGain(const Part& part, timetable::Millijoules expected,
                               const Outcome& plan) {
  timetable::Millijoules total = 0;
  for (size_t job = 0; job < part.block.jobs.size(); ++job) {
    const std::optional<RunStart>& start = plan.places.starts[part.block.jobs[job]];
    total += start.has_value() ? part.search.PriceOf(job, *start) : 0;
  }
  return total - expected > total / kGainShare;
}

QueuePlanner::Arrangement QueuePlanner::ArrangedBy(const std::vector<Proposal>& proposals,
                                                   const Outcome& plan) const {
  Arrangement trial = arrangement_;
  trial.order.clear();
  // Pins the jobs outside the changed parts, so that no part takes devices from another.
  if (proposals.front().part->block.devices.size() < loads_.size()) {
    for (size_t i = 0; i < jobs_.size(); ++i) {
      const std::optional<RunStart>& start = plan.places.starts[i];
      trial.devices[i] = start.has_value() ? std::optional(start->device) : std::nullopt;
    }
  }
  std::vector<bool> is_arranged(jobs_.size(), false);
  for (const Proposal& proposal : proposals) {
    for (const Rearrangement::Place& place : proposal.places) {
      const size_t i = proposal.part->block.jobs[place.job];
      trial.order.push_back(i);
      trial.devices[i] = place.device;
      is_arranged[i] = true;
    }
  }
  std::copy_if(arrangement_.order.begin(), arrangement_.order.end(),
               std::back_inserter(trial.order), [&](size_t i) { return !is_arranged[i]; });
  return trial;
}

QueuePlanner::Promises QueuePlanner::PromisesOf(const Outcome& in_order) const {
  Promises promises(jobs_.size());
  for (size_t i = 0; i < jobs_.size(); ++i) {
    if (const std::optional<RunStart>& run = in_order.places.starts[i]; run.has_value()) {
      promises[i] = arrangement_.deadline_by[i] == DeadlineBy::kMean
                        ? PromiseToKeep(*jobs_[i].view, *run)
                        : PromiseTo(*jobs_[i].view, snapshot_.now, *run);
    }
  }
  return promises;
}

bool QueuePlanner::Arrange(Outcome& plan) {
  if (!HasTrialLeft(kTrialPlacementsMax)) {
    return false;
  }
  // Promises refer to this plan, before any change of the search.
  in_order_ = plan.places.starts;
  const Promises promises = PromisesOf(plan);
  std::vector<Part> parts = PartsOf(plan, promises);
  const bool goes_on = Take(LatestProposals(parts, plan.places), promises, plan);
  found_cheaper_ = Take(Proposals(parts, plan), promises, plan);
  return goes_on || found_cheaper_;
}

bool QueuePlanner::Take(std::vector<Proposal> proposals, const Promises& promises, Outcome& plan) {
  const int passes = WATTLE_FAULT_POINT("one pass for all parts") ? 1 : kChangePassesMax;
  for (int pass = 0; pass < passes; ++pass) {
    if (proposals.empty() || !MayTry()) {
      return false;
    }
    Arrangement trial = ArrangedBy(proposals, plan);
    Outcome outcome = Pass(trial, loads_);
    const size_t dropped = std::erase_if(proposals, [&](const Proposal& proposal) {
      const bool drops = !IsFair(proposal.part->block.jobs, promises, outcome) ||
                         !IsCheaper(proposal, plan, outcome);
      proposals_dropped_ += drops && proposal.expects_gain ? 1 : 0;
      return drops;
    });
    // The remaining parts were judged beside the dropped ones, so they need a pass of their own.
    if (dropped > 0) {
      continue;
    }
    // Also jobs outside the changed parts must keep their promises.
    if (!IsFair(arrangement_.order, promises, outcome)) {
      proposals_dropped_ += static_cast<int>(proposals.size());
      return false;
    }
    arrangement_ = std::move(trial);
    plan = std::move(outcome);
    return true;
  }
  return false;
}

bool QueuePlanner::IsFair(const Order& jobs, const Promises& promises, const Outcome& after) {
  if (WATTLE_FAULT_POINT("fair parts")) {
    return true;
  }
  return std::all_of(jobs.begin(), jobs.end(), [&](size_t i) {
    const std::optional<RunStart>& run = after.places.starts[i];
    return !promises[i].has_value() || (run.has_value() && Keeps(*promises[i], *run));
  });
}

bool QueuePlanner::IsCheaper(const Proposal& proposal, const Outcome& before,
                             const Outcome& after) {
  const SearchBlock& block = proposal.part->block;
  const Rearrangement& search = proposal.part->search;
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
    if (one.has_value() && !other.has_value()) {
      return false;
    }
    if (one.has_value()) {
      total += search.PriceOf(job, *one);
      saved += search.PriceOf(job, *one) - search.PriceOf(job, *other);
    }
  }
  return is_more_placed || saved > (proposal.gain_share > 0 ? total / proposal.gain_share : 0);
}

}  // namespace wattle::scheduler
