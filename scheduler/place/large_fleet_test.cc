// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests fleets that the search divides into parts: plans are fair, and cheaper than job by job.
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/promise_internal.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/drawn_large_fleet_for_test.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;

int CountWaiting(const std::vector<QueuePlacement>& plan) {
  return static_cast<int>(std::count_if(plan.begin(), plan.end(), [](const auto& placed) {
    return placed.placement.wait() || placed.placement.device_id().empty();
  }));
}

double JoulesOf(const std::vector<QueuePlacement>& plan) {
  double joules = 0;
  for (const QueuePlacement& placed : plan) {
    joules += placed.placement.best(0).marginal_energy_joules();
  }
  return joules;
}

// Pairs of boards as in RearrangeTest: the first half of the jobs takes 1 % more on the board b of
// a pair, the other half three times as much. Job by job the first half takes all boards a.
class LargeFleetTest : public testing::Test {
 protected:
  Snapshot Pairs(int pairs) {
    std::vector<DeviceView> devices;
    for (int pair = 0; pair < pairs; ++pair) {
      devices.push_back(OrinNano(absl::StrCat("a", pair)));
      devices.push_back(OrinNano(absl::StrCat("b", pair)));
    }
    Snapshot snapshot = MakeSnapshot(std::move(devices), profiles_);
    for (int job = 0; job < 2 * pairs; ++job) {
      snapshot.queue.push_back(TenHourJob(absl::StrCat("j", job), job < pairs ? 12 : 6));
    }
    for (size_t device = 0; device < snapshot.devices.size(); ++device) {
      const bool is_b = device % 2 == 1;
      Learn(snapshot.devices[device], snapshot.queue.front(), {is_b ? 0.0101 : 0.01, 10},
            profiles_);
      Learn(snapshot.devices[device], snapshot.queue.back(), {is_b ? 0.03 : 0.01, 10}, profiles_);
    }
    return snapshot;
  }

  ProfileTable profiles_;
};

TEST_F(LargeFleetTest, JobsLeaveTheBoardsThatOtherJobsNeedMore) {
  const Snapshot snapshot = Pairs(40);
  const std::vector<QueuePlacement> plan = PlanQueue(snapshot);
  // Job by job 40 jobs wait for 10 h.
  EXPECT_THAT(CountWaiting(plan), Le(16));
  EXPECT_EQ(PlanQueueAndMoves(snapshot).proposals_dropped, 0);
  // Each run takes 369 kJ on its best board. Nobody pays more than 1 % for starting at once.
  EXPECT_THAT(JoulesOf(plan), Le(1.01 * 80 * 369'000));
  std::vector<std::string> reasons;
  for (const QueuePlacement& placed : plan) {
    reasons.push_back(placed.placement.reason());
  }
  EXPECT_THAT(reasons, Contains(HasSubstr("serves other jobs of the queue better")));
}

TEST_F(LargeFleetTest, TheOrderOfDevicesAndJobsInTheSnapshotPlaysNoPart) {
  Snapshot snapshot = Pairs(40);
  const std::vector<std::string> plan = Summary(PlanQueue(snapshot));
  std::mt19937 generator(1);
  std::shuffle(snapshot.devices.begin(), snapshot.devices.end(), generator);
  std::shuffle(snapshot.queue.begin(), snapshot.queue.end(), generator);
  EXPECT_EQ(Summary(PlanQueue(snapshot)), plan);
}

// The second half would cost less in front of the first one: its wait costs three times as much.
TEST_F(LargeFleetTest, NoJobThatIsWantedSoonIsDelayedForTheJoulesOfAnother) {
  Snapshot snapshot = Pairs(0);
  for (int board = 0; board < 30; ++board) {
    snapshot.devices.push_back(OrinNano(absl::StrCat("a", board)));
  }
  for (int job = 0; job < 60; ++job) {
    snapshot.queue.push_back(TenHourJob(absl::StrCat("j", job), job < 30 ? 12 : 6));
    snapshot.queue.back().spec.set_priority(1);
  }
  for (const DeviceView& device : snapshot.devices) {
    Learn(device, snapshot.queue.front(), {0.01, 10}, profiles_);
    Learn(device, snapshot.queue.back(), {0.01, 30}, profiles_);
  }
  const std::vector<QueuePlacement> plan = PlanQueue(snapshot);
  ASSERT_THAT(plan, SizeIs(60));
  for (const QueuePlacement& placed : plan) {
    const bool is_first = std::stoi(placed.job.value().substr(1)) < 30;
    EXPECT_EQ(placed.placement.wait(), !is_first) << placed.job.value();
  }
}

// priority: of all jobs.
void ExpectCheaperPlansThatKeepThePromises(int priority) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    ProfileTable profiles;
    Snapshot snapshot = DrawnFleet(std::mt19937(seed), profiles);
    std::map<std::string, const JobView*> jobs;
    for (JobView& job : snapshot.queue) {
      job.spec.set_priority(priority);
      jobs[job.id.value()] = &job;
    }
    std::map<std::string, v1::Candidate> in_order;
    const auto price = [](const v1::Candidate& run) {  // With the default patience.
      return run.marginal_energy_joules() * (1 + run.start_in_seconds() / 360'000);
    };
    double total = 0;
    double total_in_order = 0;
    for (const QueuePlacement& placed : PlanQueueInOrder(snapshot)) {
      if (!placed.placement.device_id().empty()) {
        in_order[placed.job.value()] = placed.placement.best(0);
      }
    }
    for (const QueuePlacement& placed : PlanQueue(snapshot)) {
      const auto before = in_order.find(placed.job.value());
      if (before == in_order.end()) {
        continue;
      }
      SCOPED_TRACE(placed.job.value());
      ASSERT_FALSE(placed.placement.device_id().empty());
      const v1::Candidate& run = placed.placement.best(0);
      EXPECT_TRUE(
          Keeps(PromiseTo(*jobs.at(placed.job.value()), snapshot.now, RunOf(before->second)),
                RunOf(run)));
      if (priority > 0) {
        EXPECT_LE(run.start_in_seconds(), before->second.start_in_seconds() + 1);
      }
      total += price(run);
      total_in_order += price(before->second);
    }
    EXPECT_LE(total, 0.99 * total_in_order);
  }
}

TEST(DrawnLargeFleetTest, EachPlanIsCheaperThanTheOneInOrderAndKeepsThePromises) {
  ExpectCheaperPlansThatKeepThePromises(/*priority=*/0);
}

TEST(DrawnLargeFleetTest, OfJobsThatAreWantedSoonItDelaysNobody) {
  ExpectCheaperPlansThatKeepThePromises(/*priority=*/1);
}

}  // namespace
}  // namespace wattle::scheduler
