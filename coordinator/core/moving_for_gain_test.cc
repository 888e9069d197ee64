// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of attempts that leave their board because their rest costs less on another one.
#include "coordinator/core/moving_for_gain.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/core.h"
#include "coordinator/core/elapsed.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/boards_for_test.h"
#include "coordinator/core/testing/spec_for_test.h"

namespace wattle::core {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// j1 has run for an hour of 20 h on "slow", while "fast" was drained. Both boards draw 10 W, and
// "fast" takes half of the time.
class MovingForGainTest : public testing::Test {
 protected:
  MovingForGainTest() {
    boards.Add("fast", 0.5);
    boards.Do(DrainDevice{.device = DeviceId("fast"), .reason = "card swap"});
    boards.Add("slow", 1);
    boards.RunAnHourOfTwenty();
    Progress("j1.1", 3600, 19 * 3600);
  }
  void Progress(const std::string& attempt, int64_t step, double remaining_seconds) {
    v1::AttemptProgress& progress = boards.observations.progress[AttemptId(attempt)];
    progress.set_step(step);
    progress.set_remaining_seconds(remaining_seconds);
  }
  void FreeFast() { boards.Do(ResumeDevice{DeviceId("fast")}); }
  bool IsReleased(const std::string& attempt) { return boards.Attempt(attempt).released(); }

  Boards boards;
};

TEST_F(MovingForGainTest, ARestGoesOnWhereItTakesHalfTheJoules) {
  boards.Plan();
  EXPECT_FALSE(IsReleased("j1.1"));
  FreeFast();
  boards.Plan();
  ASSERT_TRUE(IsReleased("j1.1"));
  const v1::Attempt& left = boards.Attempt("j1.1");
  EXPECT_TRUE(left.released_for_gain());
  EXPECT_EQ(left.released_unix_seconds(), ToUnix(boards.Now().wall));
  EXPECT_EQ(left.reason(),
            "moves to fast: its rest takes 95.03 Wh there and 190.1 Wh here; checkpoint and "
            "transfer 219.7 J");
  // Nothing is asked twice.
  const SequenceNumber before = boards.state.last_sequence;
  boards.Plan();
  EXPECT_EQ(boards.state.last_sequence, before);

  boards.HandOver("j1.1", 3610);
  boards.Plan();
  const v1::Attempt& rest = boards.Attempt("j1.2");
  EXPECT_EQ(rest.device_id(), "fast");
  EXPECT_EQ(DesiredFor(boards.state, DeviceId("fast")).assignments(0).checkpoint_step(), 3610);
  EXPECT_NEAR(rest.prediction().run_seconds().mean(), 9.5 * 3600, 60);
}

TEST_F(MovingForGainTest, ABoardThatIsSlowerThanPredictedLosesItsAttempt) {
  boards.Advance(absl::Hours(10));
  boards.Add("other", 1);
  boards.Plan();
  EXPECT_FALSE(IsReleased("j1.1"));
  Progress("j1.1", 3600, 2 * 19 * 3600);
  boards.Plan();
  EXPECT_TRUE(IsReleased("j1.1"));
  // The table still promises the same of the board that the job left.
  boards.HandOver("j1.1", 3610);
  boards.Plan();
  EXPECT_EQ(boards.Attempt("j1.2").device_id(), "other");
}

TEST_F(MovingForGainTest, TheJobComesBackIfTheOtherBoardVanished) {
  FreeFast();
  boards.Plan();
  boards.Do(DrainDevice{.device = DeviceId("fast"), .reason = "card swap"});
  boards.HandOver("j1.1", 3610);
  boards.Plan();
  EXPECT_THAT(boards.Job("j1").attempts(), SizeIs(2));
  EXPECT_EQ(boards.Attempt("j1.2").device_id(), "slow");
}

TEST_F(MovingForGainTest, AJobMovesOnceAnHour) {
  FreeFast();
  boards.Plan();
  boards.HandOver("j1.1", 3600);
  boards.Plan();
  boards.Run("j1.2");
  boards.Advance(absl::Minutes(30));
  Progress("j1.2", 3700, 1000 * 3600);
  boards.Plan();
  EXPECT_FALSE(IsReleased("j1.2"));
  boards.Advance(absl::Minutes(31));
  boards.Plan();
  EXPECT_TRUE(IsReleased("j1.2"));
}

TEST_F(MovingForGainTest, ABoardLosesAnAttemptOnceAnHour) {
  FreeFast();
  boards.Plan();
  boards.HandOver("j1.1", 3600);
  boards.Plan();
  boards.Run("j1.2");
  v1::JobSpec quick = Finetune();
  quick.set_objective(v1::OBJECTIVE_TIME);
  boards.Submit(5 * 3600, quick);  // The job does not wait for the better board.
  boards.Plan();
  ASSERT_THAT(boards.Job("j2").attempts(), SizeIs(1));
  boards.Run("j2.1");
  ASSERT_EQ(boards.Attempt("j2.1").device_id(), "slow");
  boards.Add("free", 0.4);
  Progress("j2.1", 10, 5 * 3600);
  boards.Plan();
  EXPECT_FALSE(IsReleased("j2.1"));
  // Not even by a coordinator that read its state from the disk meanwhile.
  const auto read = ParseSnapshot(SnapshotBytes(boards.state));
  ASSERT_THAT(read, IsOk());
  Observations observations = boards.observations;
  observations.started = boards.Now();
  const Instant soon = {boards.Now().wall + absl::Minutes(50),
                        boards.Now().monotonic + absl::Minutes(50)};
  EXPECT_EQ(SinceLeftForGain(*read, observations, DeviceId("slow"), soon.monotonic),
            absl::Minutes(50));
  EXPECT_EQ(SinceLeftForGain(*read, observations, DeviceId("fast"), soon.monotonic),
            absl::InfiniteDuration());
  boards.Advance(absl::Minutes(61));
  boards.Plan();
  EXPECT_TRUE(IsReleased("j2.1"));
}

TEST_F(MovingForGainTest, AnAttemptStaysThatMayNotMove) {
  FreeFast();
  const PlanComputed plan = ComputePlan(boards.Snapshot());
  ASSERT_THAT(plan.moves, SizeIs(1));
  // Between the plan and its decision.
  boards.Pause("j1.1", "temperature 91 °C");
  boards.Do(plan);
  EXPECT_FALSE(IsReleased("j1.1"));
  EXPECT_THAT(ComputePlan(boards.Snapshot()).moves, IsEmpty());
  boards.Start("j1.1");
  EXPECT_THAT(ComputePlan(boards.Snapshot()).moves, SizeIs(1));
  // Its progress is unknown.
  boards.observations.progress.clear();
  EXPECT_THAT(ComputePlan(boards.Snapshot()).moves, IsEmpty());
}

TEST_F(MovingForGainTest, ABoardThatIsTakenMeanwhileGetsNoRest) {
  FreeFast();
  const PlanComputed plan = ComputePlan(boards.Snapshot());
  ASSERT_THAT(plan.moves, SizeIs(1));
  boards.Submit(600);
  PlanComputed start = ComputePlan(boards.Snapshot());
  EXPECT_THAT(start.moves, IsEmpty());
  boards.Do(start);
  boards.Do(plan);
  EXPECT_FALSE(IsReleased("j1.1"));
}

}  // namespace
}  // namespace wattle::core
