// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/planners.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/standing_plan.h"
#include "scheduler/place/place.h"
#include "sim/scenario/lazy_start.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::sim {
namespace {

enum class Order { kByAge, kByDeadline, kByPriorityAndAge, kLongestFirst };

struct Row {
  const char* name;
  double (*cost)(const v1::Candidate&);  // null: the boards take turns
  Order order = Order::kByAge;
  bool waits = false;    // also waits for a busy board, after the jobs that already wait for it
  bool is_lazy = false;  // begins as late as the board's energy and the deadline allow
};

double Seconds(const v1::Candidate& candidate) {
  return candidate.finish_in_seconds();
}

double NetJoules(const v1::Candidate& candidate) {
  return candidate.marginal_energy_joules();
}

constexpr Row kRows[] = {
    {"fastest", Seconds},
    {"fewest_joules", NetJoules},
    {"round_robin", nullptr},
    {"edf", Seconds, Order::kByDeadline},
    // H. Topcuoglu, S. Hariri, M.-Y. Wu, "Performance-effective and low-complexity task scheduling
    // for heterogeneous computing", 2002, for jobs that do not depend on one another.
    {"heft", Seconds, Order::kLongestFirst, /*waits=*/true},
    // Lazy scheduling: sim/scenario/lazy_start.h.
    {"lsa", Seconds, Order::kByDeadline, /*waits=*/false, /*is_lazy=*/true},
    // Wattle's order and choice before plans considered more than one job, with today's rules,
    // predictions and rests.
    {"greedy", NetJoules, Order::kByPriorityAndAge, /*waits=*/true},
};

// Baseline for the search between plans.
constexpr char kWithoutImprover[] = "without_improver";
// Baseline for the moves of running attempts.
constexpr char kWithoutMoves[] = "without_moves";
// Baseline for the heat model of boards.
constexpr char kWithoutHeat[] = "without_heat";

absl::Time DeadlineOf(const scheduler::JobView& job) {
  return job.spec.deadline_seconds() > 0.0
             ? job.submitted + absl::Seconds(job.spec.deadline_seconds())
             : absl::InfiniteFuture();
}

// A job with the answer of the planner's rules for only this job.
struct Asked {
  const scheduler::JobView* job;
  absl::StatusOr<v1::PlanResponse> plan;
};

// The mean over the boards that take the job; 0 if none does.
double MeanRunSeconds(const Asked& asked) {
  if (!asked.plan.ok()) {
    return 0;
  }
  double sum = 0;
  int boards = 0;
  for (const v1::Candidate& candidate : asked.plan->candidates()) {
    if (candidate.feasible()) {
      sum += candidate.finish_in_seconds() - candidate.start_in_seconds();
      ++boards;
    }
  }
  return boards == 0 ? 0 : sum / boards;
}

// Lower ranks go first; ties go by age and id.
double RankOf(const Asked& asked, Order order, absl::Time now) {
  switch (order) {
    case Order::kByAge:
      return 0;
    case Order::kByDeadline:
      return absl::ToDoubleSeconds(DeadlineOf(*asked.job) - now);
    case Order::kByPriorityAndAge:
      return -asked.job->spec.priority() - asked.job->WaitedSeconds(now) / 3600;
    case Order::kLongestFirst:
      return -MeanRunSeconds(asked);
  }
  return 0;
}

std::vector<Asked> InOrder(const scheduler::Snapshot& snapshot, Order order) {
  std::vector<Asked> jobs;
  for (const scheduler::JobView& job : snapshot.queue) {
    jobs.push_back({&job, scheduler::PlanJob(snapshot, job)});
  }
  const auto rank = [&](const Asked& asked) {
    return std::make_tuple(RankOf(asked, order, snapshot.now), asked.job->submitted,
                           asked.job->id.value().size(), asked.job->id.value());
  };
  std::sort(jobs.begin(), jobs.end(),
            [&rank](const Asked& a, const Asked& b) { return rank(a) < rank(b); });
  return jobs;
}

// Boards with names after `last` come first, then the others from the beginning.
double Turn(const std::string& name, const std::string& last) {
  return name > last ? 0.0 : 1.0;
}

class SimplePlanner {
 public:
  explicit SimplePlanner(const Row& row) : row_(row) {}

  core::PlanComputed Plan(const scheduler::Snapshot& snapshot) {
    core::PlanComputed plan;
    plan.computed_on = snapshot.sequence;
    busy_seconds_.clear();
    for (const Asked& asked : InOrder(snapshot, row_.order)) {
      plan.jobs.push_back(Place(snapshot, asked));
    }
    return plan;
  }

 private:
  // Delay of a candidate's start, because this plan gave its board other jobs.
  [[nodiscard]] double BusySeconds(const v1::Candidate& candidate) const {
    const auto found = busy_seconds_.find(candidate.device_id());
    return found == busy_seconds_.end() ? 0 : found->second;
  }
  [[nodiscard]] bool StartsNow(const v1::Candidate& candidate) const {
    return candidate.start_in_seconds() <= 0 && BusySeconds(candidate) <= 0;
  }

  [[nodiscard]] bool MayTake(const scheduler::Snapshot& snapshot, const Asked& asked,
                             const v1::Candidate& candidate) const {
    if (!candidate.feasible() || !(row_.waits || StartsNow(candidate))) {
      return false;
    }
    return !row_.is_lazy || LazyStart(snapshot, candidate, DeadlineOf(*asked.job)) <= snapshot.now;
  }

  scheduler::QueuePlacement Place(const scheduler::Snapshot& snapshot, const Asked& asked) {
    scheduler::QueuePlacement placed;
    placed.job = asked.job->id;
    const absl::StatusOr<v1::PlanResponse>& plan = asked.plan;
    if (!plan.ok()) {
      placed.placement.set_reason(std::string(plan.status().message()));
      placed.never = true;
      return placed;
    }
    const v1::Candidate* best = nullptr;
    placed.never = plan->candidates_size() > 0;  // A board may join.
    for (const v1::Candidate& candidate : plan->candidates()) {
      placed.never = placed.never && !candidate.feasible() && candidate.permanent();
      if (MayTake(snapshot, asked, candidate) &&
          (best == nullptr || Rank(candidate) < Rank(*best))) {
        best = &candidate;
      }
    }
    if (best == nullptr) {
      placed.placement.set_reason(plan->chosen_device_id().empty() ? plan->reason()
                                  : row_.is_lazy
                                      ? "no board is free and has the energy until the deadline"
                                      : "no board is free");
      return placed;
    }
    const bool now = StartsNow(*best);
    busy_seconds_[best->device_id()] += best->finish_in_seconds() - best->start_in_seconds();
    if (!now) {
      placed.placement.set_reason(absl::StrCat(row_.name, ": waits for ", best->device_name()));
      return placed;
    }
    last_ = best->device_name();
    placed.placement.set_device_id(best->device_id());
    placed.placement.set_reason(absl::StrCat(row_.name, ": ", best->device_name()));
    *placed.placement.add_best() = *best;
    placed.power_mode = best->power_mode();
    placed.prediction = best->prediction();
    placed.model_choice = best->model_choice();
    return placed;
  }

  [[nodiscard]] std::pair<double, std::string> Rank(const v1::Candidate& candidate) const {
    const std::string& name = candidate.device_name();
    if (row_.cost == nullptr) {
      return {Turn(name, last_), name};
    }
    const bool by_end = row_.cost == Seconds;
    return {row_.cost(candidate) + (by_end ? BusySeconds(candidate) : 0), name};
  }

  const Row& row_;
  std::map<std::string, double> busy_seconds_;  // of each board, by this plan
  std::string last_;                            // the board of the latest start, by name
};

}  // namespace

std::vector<std::string> PolicyNames() {
  std::vector<std::string> names = {"ours"};
  for (const Row& row : kRows) {
    names.emplace_back(row.name);
  }
  names.emplace_back(kWithoutImprover);
  names.emplace_back(kWithoutMoves);
  names.emplace_back(kWithoutHeat);
  return names;
}

Planner MakePlanner(absl::string_view name) {
  const Planner ours =
      [standing = std::make_shared<core::StandingPlan>()](const scheduler::Snapshot& snapshot) {
        return core::PlanAndImprove(*standing, snapshot);
      };
  if (name == "ours") {
    return ours;
  }
  if (name == kWithoutImprover) {
    return [](const scheduler::Snapshot& snapshot) { return core::ComputePlan(snapshot); };
  }
  if (name == kWithoutMoves) {
    return [ours](const scheduler::Snapshot& snapshot) {
      core::PlanComputed plan = ours(snapshot);
      plan.moves.clear();
      return plan;
    };
  }
  if (name == kWithoutHeat) {
    return [ours](const scheduler::Snapshot& snapshot) {
      scheduler::Snapshot cool = snapshot;
      for (scheduler::DeviceView& view : cool.devices) {
        view.device.mutable_heartbeat()->clear_heat_model();
      }
      return ours(cool);
    };
  }
  const auto* const row = std::find_if(std::begin(kRows), std::end(kRows),
                                       [&](const Row& one) { return one.name == name; });
  WATTLE_CHECK(row != std::end(kRows), "the policy is one of PolicyNames()");
  return [planner = std::make_shared<SimplePlanner>(*row)](const scheduler::Snapshot& snapshot) {
    return planner->Plan(snapshot);
  };
}

}  // namespace wattle::sim
