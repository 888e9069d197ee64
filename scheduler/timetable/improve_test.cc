// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the search against brute force: every way of every job in every order.
#include "scheduler/timetable/improve.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/plan_cost.h"
#include "scheduler/timetable/testing/drawn_instance_for_test.h"

namespace wattle::timetable {
namespace {

constexpr SearchBudget kBudget = {.moves = 400, .seed = 32};

Schedule InOrder(const Instance& instance) {
  std::vector<size_t> order(instance.jobs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  return InsertInOrder(instance, order);
}

// The least cost of all plans with starts on the grid. Uses only CheckPlan and CostOf.
class BruteForce {
 public:
  explicit BruteForce(const Instance& instance) : instance_(instance) {}
  Millijoules Least() {
    Try(0);
    return least_;
  }

 private:
  void Try(size_t job) {
    if (job == instance_.jobs.size()) {
      least_ = std::min(least_, CostOf(instance_, plan_));
      return;
    }
    const InstanceJob& one = instance_.jobs[job];
    plan_.push_back({.job = static_cast<int>(job)});
    Try(job + 1);
    for (const JobOption& option : one.options) {
      for (Seconds start = one.released;
           start + option.draw.length <=
           std::min(instance_.end, one.deadline.value_or(instance_.end));
           start += instance_.start_step) {
        plan_.back() = {.job = static_cast<int>(job),
                        .device = option.device,
                        .mode = option.mode,
                        .start = start,
                        .in_time = true};
        if (IsSound()) {
          Try(job + 1);
        }
      }
    }
    plan_.pop_back();
  }
  // Whether the jobs so far break no rule, the others left out.
  [[nodiscard]] bool IsSound() const {
    std::vector<Planned> whole = plan_;
    for (size_t job = whole.size(); job < instance_.jobs.size(); ++job) {
      whole.push_back({.job = static_cast<int>(job)});
    }
    return CheckPlan(instance_, whole) == std::nullopt;
  }

  const Instance& instance_;
  std::vector<Planned> plan_;
  Millijoules least_ = std::numeric_limits<Millijoules>::max();
};

TEST(ImproveTest, FindsThePlanOfBruteForce) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Instance instance = DrawInstance(seed, 2, 3, 7200);
    const Schedule found = Improve(instance, InOrder(instance), kBudget);
    EXPECT_EQ(CheckPlan(instance, found.plan()), std::nullopt);
    EXPECT_EQ(found.cost(), BruteForce(instance).Least());
  }
}

TEST(ImproveTest, FindsThePlanOfBruteForceForJobsThatRunApart) {
  int left_out = 0;
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Instance instance = DrawInstance(seed, 2, 3, 7200);
    SetAntiAffinity(seed, instance);
    const Schedule found = Improve(instance, InOrder(instance), kBudget);
    EXPECT_EQ(CheckPlan(instance, found.plan()), std::nullopt);
    EXPECT_EQ(found.cost(), BruteForce(instance).Least());
    for (const Planned& planned : found.plan()) {
      left_out += planned.device == Planned::kLeftOut ? 1 : 0;
    }
    Instance large = DrawInstance(seed, 3, 14, 600);
    SetAntiAffinity(seed, large);
    EXPECT_EQ(CheckPlan(large, Improve(large, InOrder(large), kBudget).plan()), std::nullopt);
  }
  EXPECT_GT(left_out, 0);
}

TEST(ImproveTest, IsNeverDearerAndOftenCheaper) {
  int cheaper = 0;
  for (unsigned seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Instance instance = DrawInstance(seed, 3, 14, 600);
    const Schedule begin = InOrder(instance);
    const Schedule found = Improve(instance, begin, kBudget);
    EXPECT_EQ(CheckPlan(instance, found.plan()), std::nullopt);
    EXPECT_LE(found.cost(), begin.cost());
    cheaper += found.cost() < begin.cost() ? 1 : 0;
  }
  EXPECT_GE(cheaper, 20);
}

TEST(ImproveTest, TheSameBudgetGivesTheSamePlan) {
  const Instance instance = DrawInstance(5, 3, 14, 600);
  const Schedule first = Improve(instance, InOrder(instance), kBudget);
  const Schedule again = Improve(instance, InOrder(instance), kBudget);
  for (size_t job = 0; job < instance.jobs.size(); ++job) {
    EXPECT_EQ(first.planned(job).device, again.planned(job).device);
    EXPECT_EQ(first.planned(job).mode, again.planned(job).mode);
    EXPECT_EQ(first.planned(job).start, again.planned(job).start);
  }
}

// A few moves of a search that still accepts dearer plans: the best one counts, not the last one.
TEST(ImproveTest, TheBestPlanCountsAndNotTheLastOne) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Instance instance = DrawInstance(seed, 3, 14, 600);
    const Schedule good = Improve(instance, InOrder(instance), kBudget);
    EXPECT_LE(Improve(instance, good, {.moves = 10, .seed = seed}).cost(), good.cost());
  }
}

// Integers and the search's own random numbers make these plans equal on every architecture.
TEST(ImproveTest, TheNumbersAreTheSameEverywhere) {
  std::vector<Millijoules> costs;
  for (unsigned seed = 1; seed <= 5; ++seed) {
    const Instance instance = DrawInstance(seed, 3, 14, 600);
    costs.push_back(Improve(instance, InOrder(instance), {.moves = 40, .seed = 32}).cost());
  }
  EXPECT_THAT(costs, testing::ElementsAre(939027465, 735594618, 562639929, 347675580, 897053466));
}

// Loosening a rule cannot make an optimum dearer, and makes the search's result dearer by little at
// most.
constexpr SearchBudget kLongBudget = {.moves = 3000, .seed = 32};
TEST(ImproveTest, ALooserDeadlineOrMoreSunCostsLittleMoreAtMost) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Instance instance = DrawInstance(seed, 3, 10, 600);
    const Millijoules cost = Improve(instance, InOrder(instance), kLongBudget).cost();
    Instance looser = instance;
    for (InstanceJob& job : looser.jobs) {
      job.deadline = std::nullopt;
    }
    Instance sunnier = instance;
    for (PackSpec& pack : sunnier.packs) {
      for (Milliwatts& power : pack.harvest[0]) {
        power += 2000;
      }
    }
    EXPECT_LE(Improve(looser, InOrder(looser), kLongBudget).cost(), cost + cost / 100);
    EXPECT_LE(Improve(sunnier, InOrder(sunnier), kLongBudget).cost(), cost + cost / 100);
  }
}

}  // namespace
}  // namespace wattle::timetable
