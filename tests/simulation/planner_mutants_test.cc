// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The mutants of plans, which no simulated world finds: its fleets are too small to be planned in
// parts. Each mutant makes some drawn fleet's plan break a promise that the same plan keeps without
// it.
#include <cstdio>
#include <map>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/testing/drawn_large_fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"
#include "tests/simulation/fault_points.h"

namespace wattle::sim {
namespace {

using scheduler::QueuePlacement;
using scheduler::Snapshot;

constexpr unsigned kSeedsMax = 12;

using Runs = std::map<std::string, v1::Candidate>;  // By job.

Runs RunsOf(const std::vector<QueuePlacement>& plan) {
  Runs runs;
  for (const QueuePlacement& placed : plan) {
    if (!placed.placement.device_id().empty()) {
      runs[placed.job.value()] = placed.placement.best(0);
    }
  }
  return runs;
}

double Price(const v1::Candidate& run) {  // With the default patience.
  return run.marginal_energy_joules() * (1 + run.start_in_seconds() / 360'000);
}

// The first promise that the plan breaks; "" if it keeps them all.
std::string BrokenPromise(const Snapshot& snapshot) {
  const Runs in_order = RunsOf(scheduler::PlanQueueInOrder(snapshot));
  const Runs plan = RunsOf(scheduler::PlanQueue(snapshot));
  double total = 0;
  double total_in_order = 0;
  for (const auto& [job, before] : in_order) {
    const auto after = plan.find(job);
    if (after == plan.end()) {
      return absl::StrCat(job, " lost its place");
    }
    if (after->second.start_in_seconds() > before.start_in_seconds() + 1) {
      return absl::StrCat(job, " starts ",
                          after->second.start_in_seconds() - before.start_in_seconds(), " s later");
    }
    total += Price(after->second);
    total_in_order += Price(before);
  }
  return total > 0.99 * total_in_order
             ? absl::StrCat("it costs ", total, " J, and ", total_in_order, " J in order")
             : "";
}

struct PlannerMutant {
  const char* name;  // name of its fault point
  const char* what;
};
constexpr PlannerMutant kMutants[] = {
    {"fair parts", "a part delays a job that is wanted soon for the joules of another one"},
    {"one pass for all parts", "one part that is refused refuses all"},
};

class PlannerMutantTest : public testing::TestWithParam<PlannerMutant> {
 protected:
  void TearDown() override { TurnOnFaultPoint(""); }
};

// All jobs are urgent. A third of the boards works by day. The search ignores windows, so some of
// its parts are refused.
Snapshot WithWindows(unsigned seed, scheduler::ProfileTable& profiles) {
  std::mt19937 dice(seed);
  Snapshot snapshot = scheduler::DrawnFleet(dice, profiles);
  for (scheduler::JobView& job : snapshot.queue) {
    job.spec.set_priority(1);
  }
  v1::Policy policy;
  policy.set_name("day");
  policy.add_selector("works=by-day");
  policy.add_work_windows("08:00-20:00");
  snapshot.policies.push_back(policy);
  for (scheduler::DeviceView& view : snapshot.devices) {
    if (dice() % 3 == 0) {
      v1::Label& label = *view.device.mutable_info()->add_labels();
      label.set_key("works");
      label.set_value("by-day");
    }
  }
  return snapshot;
}

TEST_P(PlannerMutantTest, BreaksAPromiseThatPlansKeep) {
  for (unsigned seed = 1; seed <= kSeedsMax; ++seed) {
    scheduler::ProfileTable profiles;
    const Snapshot snapshot = WithWindows(seed, profiles);
    TurnOnFaultPoint("");
    if (!BrokenPromise(snapshot).empty()) {
      continue;  // No part gains.
    }
    TurnOnFaultPoint(GetParam().name);
    if (const std::string broken = BrokenPromise(snapshot); !broken.empty()) {
      std::printf("%s: found with seed %u: %s\n", GetParam().name, seed, broken.c_str());
      return;
    }
  }
  FAIL() << GetParam().what << ", and every plan of " << kSeedsMax << " seeds keeps its promises";
}

INSTANTIATE_TEST_SUITE_P(Bugs, PlannerMutantTest, testing::ValuesIn(kMutants));

}  // namespace
}  // namespace wattle::sim
