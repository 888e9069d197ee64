// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans that go on from the latest one, and what a longer search finds for them.
#include "scheduler/place/improve_queue.h"

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/promise_internal.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/busy_fleet_for_test.h"
#include "scheduler/place/testing/drawn_large_fleet_for_test.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::IsEmpty;

constexpr SearchEffort kLong = {.moves_of_a_job = 50, .moves_max = 2'000, .seed = 2};
constexpr unsigned kFleets = 8;

double PriceOf(const Runs& runs) {  // All jobs save joules.
  double total = 0;
  for (const auto& [job, run] : runs) {
    total += run.cost();
  }
  return total;
}

// priority: of all jobs.
void ExpectCheaperAndThatItGoesOn(int priority) {
  int better = 0;
  double before = 0;
  double after = 0;
  for (unsigned seed = 1; seed <= kFleets; ++seed) {
    SCOPED_TRACE(seed);
    ProfileTable profiles;
    Snapshot snapshot = BusyFleet(std::mt19937(seed), profiles);
    for (JobView& job : snapshot.queue) {
      job.spec.set_priority(priority);
    }
    const Runs in_order = RunsOf(PlanQueueInOrder(snapshot));
    const Runs first = RunsOf(PlanQueue(snapshot));
    ASSERT_EQ(first.size(), snapshot.queue.size());
    GivePlaces(first, snapshot);
    const QueueImprovement found = ImproveQueue(snapshot, kLong);
    for (JobView& job : snapshot.queue) {
      if (const auto place = found.places.find(job.id); place != found.places.end()) {
        job.last_place = place->second;
      }
    }
    const Runs next = RunsOf(PlanQueue(snapshot));
    better += found.places.empty() ? 0 : 1;
    before += PriceOf(first);
    after += PriceOf(next);
    EXPECT_LE(PriceOf(next), PriceOf(first) * (found.places.empty() ? 1 + 1e-9 : 0.997));
    for (const JobView& job : snapshot.queue) {
      SCOPED_TRACE(job.id.value());
      const v1::Candidate& before_search = in_order.at(job.id.value());
      const v1::Candidate& run = next.at(job.id.value());
      EXPECT_TRUE(Keeps(PromiseTo(job, snapshot.now, RunOf(before_search)), RunOf(run)));
      if (priority > 0) {
        EXPECT_LE(run.start_in_seconds(), before_search.start_in_seconds() + 1);
      }
    }
  }
  testing::Test::RecordProperty("saved_percent", std::to_string(100 * (1 - after / before)));
  if (priority > 0) {  // Where jobs may be put off, the plan's own search gains nearly all.
    EXPECT_THAT(better, Gt(0));
  }
}

TEST(ImproveQueueTest, ALongerSearchIsCheaperKeepsThePromisesAndItsPlanGoesOn) {
  ExpectCheaperAndThatItGoesOn(/*priority=*/0);
}

TEST(ImproveQueueTest, OfJobsThatAreWantedSoonItDelaysNobody) {
  ExpectCheaperAndThatItGoesOn(/*priority=*/1);
}

// A plan of the same state that forgot the latest one would be as dear as the first.
TEST(ImproveQueueTest, PlansOfOneStateNeverGetDearer) {
  for (unsigned seed = 1; seed <= kFleets; ++seed) {
    SCOPED_TRACE(seed);
    ProfileTable profiles;
    Snapshot snapshot = BusyFleet(std::mt19937(seed), profiles);
    Runs runs = RunsOf(PlanQueue(snapshot));
    for (int plan = 0; plan < 3; ++plan) {
      GivePlaces(runs, snapshot);
      const Runs next = RunsOf(PlanQueue(snapshot));
      EXPECT_LE(PriceOf(next), PriceOf(runs) * (1 + 1e-9));
      runs = next;
    }
  }
}

// Two boards: j1's workload takes 1 % more on b, j2's three times as much.
class LatestPlanTest : public testing::Test {
 protected:
  LatestPlanTest() {
    snapshot_ = MakeSnapshot({OrinNano("a"), OrinNano("b")}, profiles_);
    snapshot_.queue = {TenHourJob("j1", 12), TenHourJob("j2", 6)};
    LearnPaces(0.0101, 0.03, profiles_);
    for (DeviceView& view : snapshot_.devices) {
      view.free_at = kTestNow + absl::Hours(2);
    }
  }
  // Paces of both jobs on b, in seconds a token; on a they need 0.01.
  void LearnPaces(double j1, double j2, ProfileTable& profiles) {
    Learn(snapshot_.devices[0], snapshot_.queue[0], {0.01, 10}, profiles);
    Learn(snapshot_.devices[1], snapshot_.queue[0], {j1, 10}, profiles);
    Learn(snapshot_.devices[0], snapshot_.queue[1], {0.01, 10}, profiles);
    Learn(snapshot_.devices[1], snapshot_.queue[1], {j2, 10}, profiles);
  }
  void LastHad(size_t job, const std::string& device, absl::Duration in) {
    snapshot_.queue[job].last_place = LastPlace{.device = DeviceId(device), .start = kTestNow + in};
  }
  std::vector<std::string> Plan() { return Summary(PlanQueue(snapshot_)); }

  ProfileTable profiles_;
  Snapshot snapshot_;
};

TEST_F(LatestPlanTest, ADearerLatestPlanIsLeft) {
  LastHad(0, "id-a", absl::Hours(2));
  LastHad(1, "id-b", absl::Hours(2));
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b", "j2 waits for id-a"));
}

// Dearer by less than the gain that the search needs.
TEST_F(LatestPlanTest, ALatestPlanThatIsALittleDearerIsLeft) {
  ProfileTable profiles;
  LearnPaces(0.01005, 0.00998, profiles);
  snapshot_.profiles = &profiles;
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-a", "j2 waits for id-b"));
  LastHad(0, "id-b", absl::Hours(2));
  LastHad(1, "id-a", absl::Hours(2));
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-a", "j2 waits for id-b"));
}

TEST_F(LatestPlanTest, AJobThatCameSinceIsMendedIn) {
  LastHad(0, "id-b", absl::Hours(2));
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b", "j2 waits for id-a"));
}

TEST_F(LatestPlanTest, ABoardThatLeftOrRefusesKeepsNoPlace) {
  LastHad(0, "id-gone", absl::Hours(2));
  LastHad(1, "id-b", absl::Hours(2));
  snapshot_.devices[1].device.set_connected(false);
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-a", "j2 waits for id-a"));
}

TEST_F(LatestPlanTest, NothingIsFoundWhereNoJobWaitsForLess) {
  const std::vector<QueuePlacement> plan = PlanQueue(snapshot_);
  GivePlaces(RunsOf(plan), snapshot_);
  EXPECT_THAT(ImproveQueue(snapshot_, kLong).places, IsEmpty());
}

}  // namespace
}  // namespace wattle::scheduler
