// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/planners.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "scheduler/place/place.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::sim {
namespace {

struct Row {
  const char* name;
  double (*cost)(const v1::Candidate&);  // null: the boards take turns
  bool by_deadline = false;              // the job with the earliest deadline goes first
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
    {"edf", Seconds, true},
};

absl::Time DeadlineOf(const scheduler::JobView& job) {
  return job.spec.deadline_seconds() > 0.0
             ? job.submitted + absl::Seconds(job.spec.deadline_seconds())
             : absl::InfiniteFuture();
}

std::vector<const scheduler::JobView*> InOrder(const scheduler::Snapshot& snapshot,
                                               bool by_deadline) {
  std::vector<const scheduler::JobView*> jobs;
  for (const scheduler::JobView& job : snapshot.queue) {
    jobs.push_back(&job);
  }
  const auto rank = [by_deadline](const scheduler::JobView* job) {
    return std::make_tuple(by_deadline ? DeadlineOf(*job) : absl::InfiniteFuture(), job->submitted,
                           job->id.value().size(), job->id.value());
  };
  std::sort(jobs.begin(), jobs.end(),
            [&rank](const auto* a, const auto* b) { return rank(a) < rank(b); });
  return jobs;
}

// The names of the boards after `last` come first, then those from the beginning.
double Turn(const std::string& name, const std::string& last) {
  return name > last ? 0.0 : 1.0;
}

class SimplePlanner {
 public:
  explicit SimplePlanner(const Row& row) : row_(row) {}

  core::PlanComputed Plan(const scheduler::Snapshot& snapshot) {
    core::PlanComputed plan;
    plan.computed_on = snapshot.sequence;
    taken_.clear();
    for (const scheduler::JobView* job : InOrder(snapshot, row_.by_deadline)) {
      plan.jobs.push_back(Place(snapshot, *job));
    }
    return plan;
  }

 private:
  scheduler::QueuePlacement Place(const scheduler::Snapshot& snapshot,
                                  const scheduler::JobView& job) {
    scheduler::QueuePlacement placed;
    placed.job = job.id;
    const absl::StatusOr<v1::PlanResponse> plan = scheduler::PlanJob(snapshot, job);
    if (!plan.ok()) {
      placed.placement.set_reason(std::string(plan.status().message()));
      placed.never = true;
      return placed;
    }
    const v1::Candidate* best = nullptr;
    placed.never = plan->candidates_size() > 0;  // A board may join.
    for (const v1::Candidate& candidate : plan->candidates()) {
      placed.never = placed.never && !candidate.feasible() && candidate.permanent();
      if (!candidate.feasible() || candidate.start_in_seconds() > 0.0 ||
          taken_.contains(candidate.device_id())) {
        continue;
      }
      if (best == nullptr || Rank(candidate) < Rank(*best)) {
        best = &candidate;
      }
    }
    if (best == nullptr) {
      placed.placement.set_reason(plan->chosen_device_id().empty() ? plan->reason()
                                                                   : "no board is free");
      return placed;
    }
    taken_.insert(best->device_id());
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
    return {row_.cost == nullptr ? Turn(name, last_) : row_.cost(candidate), name};
  }

  const Row& row_;
  std::set<std::string> taken_;  // by this plan
  std::string last_;             // the board of the latest start, by name
};

}  // namespace

std::vector<std::string> PolicyNames() {
  std::vector<std::string> names = {"ours"};
  for (const Row& row : kRows) {
    names.emplace_back(row.name);
  }
  return names;
}

Planner MakePlanner(absl::string_view name) {
  if (name == "ours") {
    return nullptr;
  }
  const auto* const row = std::find_if(std::begin(kRows), std::end(kRows),
                                       [&](const Row& one) { return one.name == name; });
  WATTLE_CHECK(row != std::end(kRows), "the policy is one of PolicyNames()");
  return [planner = std::make_shared<SimplePlanner>(*row)](const scheduler::Snapshot& snapshot) {
    return planner->Plan(snapshot);
  };
}

}  // namespace wattle::sim
