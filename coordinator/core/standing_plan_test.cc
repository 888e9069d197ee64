// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of what is handed on from one plan to the next.
#include "coordinator/core/standing_plan.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/planning.h"
#include "coordinator/core/testing/boards_for_test.h"

namespace wattle::core {
namespace {

using testing::SizeIs;

// A board that runs j1 for another 10 h, and jobs that wait for it.
class StandingPlanTest : public testing::Test {
 protected:
  StandingPlanTest() {
    boards.Add("orin", 10);
    boards.Submit(3600);
    boards.Plan();
    boards.Run("j1.1");
    boards.Submit(3600);
    boards.Submit(3600);
  }
  // On the present state, like the coordinator's threads.
  std::optional<PlanToImprove> PlanAndAsk() {
    scheduler::Snapshot snapshot = boards.Snapshot();
    plan = standing.Plan(snapshot);
    boards.observations.waiting =
        std::make_shared<std::map<JobId, WaitingJob>>(WaitingJobsOf(boards.state, plan));
    return standing.NextSearch(snapshot, plan);
  }
  static std::string LastDeviceOf(const scheduler::JobView& job) {
    return job.last_place.has_value() ? job.last_place->device.value() : "";
  }

  Boards boards;
  StandingPlan standing;
  PlanComputed plan;
};

TEST_F(StandingPlanTest, ASearchBeginsWithThePlacesOfThePlan) {
  const std::optional<PlanToImprove> search = PlanAndAsk();
  ASSERT_TRUE(search.has_value());
  EXPECT_EQ(search->snapshot.sequence, boards.state.last_sequence);
  ASSERT_THAT(search->snapshot.queue, SizeIs(2));
  for (const scheduler::JobView& job : search->snapshot.queue) {
    EXPECT_EQ(LastDeviceOf(job), "orin");
    EXPECT_GT(job.last_place->start, boards.Now().wall + absl::Hours(9));
  }
  EXPECT_EQ(Improve(*search).computed_on, boards.state.last_sequence);
}

TEST_F(StandingPlanTest, AStateIsSearchedAFewTimesWithOtherNumbersAndThenRests) {
  std::set<uint64_t> seeds;
  while (const std::optional<PlanToImprove> search = PlanAndAsk()) {
    ASSERT_TRUE(seeds.insert(search->effort.seed).second);
    ASSERT_LE(seeds.size(), 4u);
  }
  EXPECT_THAT(seeds, SizeIs(4));
  boards.Submit(3600);
  EXPECT_TRUE(PlanAndAsk().has_value());
}

TEST_F(StandingPlanTest, NothingIsSearchedForOneJobOrWhileAPlanStartsOne) {
  Boards few;
  std::swap(boards, few);
  boards.Add("orin", 10);
  boards.Submit(3600);
  boards.Submit(3600);
  EXPECT_FALSE(PlanAndAsk().has_value());  // j1 starts.
  boards.Do(plan);
  boards.Run("j1.1");
  EXPECT_FALSE(PlanAndAsk().has_value());  // Only one of two jobs waits.
  boards.Submit(3600);
  EXPECT_TRUE(PlanAndAsk().has_value());
}

// Two boards are alike. The answer has j2 on the other one.
TEST_F(StandingPlanTest, TheNextPlanGoesOnFromAnAnswerAsFarAsItsJobsWait) {
  boards.Add("twin", 10);
  boards.Plan();
  boards.Run("j2.1");
  boards.Submit(3600);
  ASSERT_TRUE(PlanAndAsk().has_value());
  std::string planned;
  for (const scheduler::QueuePlacement& placed : plan.jobs) {
    planned = placed.job.value() == "j3" ? placed.placement.device_id() : planned;
  }
  ASSERT_NE(planned, "");
  const DeviceId other(planned == "orin" ? "twin" : "orin");
  const absl::Time start = boards.Now().wall + absl::Hours(10);
  standing.Take({.computed_on = boards.state.last_sequence,
                 .places = {{JobId("j3"), {.device = other, .start = start}},
                            {JobId("j77"), {.device = other, .start = start}}}});
  scheduler::Snapshot snapshot = boards.Snapshot();
  EXPECT_EQ(standing.Plan(snapshot).proposals_dropped, 0);
  for (const scheduler::JobView& job : snapshot.queue) {
    EXPECT_EQ(LastDeviceOf(job), job.id.value() == "j3" ? other.value() : LastDeviceOf(job));
  }
  // Once.
  scheduler::Snapshot again = boards.Snapshot();
  standing.Plan(again);
  EXPECT_EQ(LastDeviceOf(again.queue[0]), planned);
}

TEST_F(StandingPlanTest, AnAnswerThatIsLateIsCounted) {
  const absl::Time start = boards.Now().wall + absl::Hours(10);
  standing.Take({.computed_on = boards.state.last_sequence,
                 .places = {{JobId("j77"), {.device = DeviceId("orin"), .start = start}}},
                 .proposals_dropped = 2});
  EXPECT_TRUE(PlanAndAsk().has_value());
  EXPECT_EQ(plan.proposals_dropped, 3);
  EXPECT_TRUE(PlanAndAsk().has_value());
  EXPECT_EQ(plan.proposals_dropped, 0);
}

}  // namespace
}  // namespace wattle::core
