// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Starts of the next hour that stay where the latest plan had them.
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two busy boards, a and b, and a job that waits. On a the job takes 10 h.
class KeepStartsTest : public testing::Test {
 protected:
  KeepStartsTest() {
    snapshot_ = MakeSnapshot({OrinNano("a"), OrinNano("b")}, profiles_);
    snapshot_.queue = {RealJob("j1", 18'000)};
    for (DeviceView& view : snapshot_.devices) {
      view.free_at = kTestNow + absl::Minutes(20);
    }
  }
  // On b the job takes this share of a's joules.
  void LearnWithRatio(double b_over_a) {
    Learn(snapshot_.devices[0], snapshot_.queue[0], {0.01, 10}, profiles_);
    Learn(snapshot_.devices[1], snapshot_.queue[0], {0.01 * b_over_a, 10}, profiles_);
  }
  void LastHad(const std::string& device, absl::Duration in) {
    snapshot_.queue[0].last_place = LastPlace{.device = DeviceId(device), .start = kTestNow + in};
  }
  std::vector<std::string> Plan() { return Summary(PlanQueue(snapshot_)); }

  ProfileTable profiles_;
  Snapshot snapshot_;
};

TEST_F(KeepStartsTest, AStartStaysForAGainOfOnePercentAndMovesForThree) {
  LearnWithRatio(0.99);
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b"));
  LastHad("id-a", absl::Minutes(20));
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-a"));
  EXPECT_THAT(PlanQueue(snapshot_)[0].placement.reason(),
              HasSubstr("too little to move a start of the next hour"));
  ProfileTable other;
  Learn(snapshot_.devices[0], snapshot_.queue[0], {0.01, 10}, other);
  Learn(snapshot_.devices[1], snapshot_.queue[0], {0.0097, 10}, other);
  snapshot_.profiles = &other;
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b"));
}

TEST_F(KeepStartsTest, AStartInTwoHoursMoves) {
  LearnWithRatio(0.99);
  for (DeviceView& view : snapshot_.devices) {
    view.free_at = kTestNow + absl::Hours(2);
  }
  LastHad("id-a", absl::Hours(2));
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b"));
}

TEST_F(KeepStartsTest, NoJobWaitsBesideAnIdleBoard) {
  LearnWithRatio(0.99);
  snapshot_.devices[1].free_at = kTestNow;
  LastHad("id-a", absl::Minutes(20));
  EXPECT_THAT(Plan(), ElementsAre("j1 on id-b"));
}

TEST_F(KeepStartsTest, AStartThatIsNoLongerSoonMoves) {
  LearnWithRatio(0.99);
  LastHad("id-a", absl::Minutes(20));
  snapshot_.devices[0].free_at = kTestNow + absl::Minutes(61);  // Its attempt takes longer.
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b"));
}

TEST_F(KeepStartsTest, ABoardThatRefusesTheJobOrLeftKeepsNothing) {
  LearnWithRatio(0.99);
  LastHad("id-a", absl::Minutes(20));
  snapshot_.devices[0].device.set_connected(false);
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b"));
  LastHad("id-gone", absl::Minutes(20));
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b"));
}

// Another job of the queue loses a third if the start stays.
TEST_F(KeepStartsTest, TheLossesOfOtherJobsCount) {
  snapshot_.queue.push_back(RealJob("j2", 18'000));
  *snapshot_.queue[1].inputs[0].artifact.mutable_model_shape() = Gpt2Shape(6);
  LearnWithRatio(0.99);
  Learn(snapshot_.devices[0], snapshot_.queue[1], {0.01, 10}, profiles_);
  Learn(snapshot_.devices[1], snapshot_.queue[1], {0.015, 10}, profiles_);
  LastHad("id-a", absl::Minutes(20));
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-b", "j2 waits for id-a"));
}

// j1 gains 1 % by a move, j2 5 %: only j2 moves.
TEST_F(KeepStartsTest, TheJobThatLosesMostMovesAlone) {
  snapshot_ = MakeSnapshot({OrinNano("a"), OrinNano("b"), OrinNano("c"), OrinNano("d")}, profiles_);
  for (DeviceView& view : snapshot_.devices) {
    view.free_at = kTestNow + absl::Minutes(20);
  }
  snapshot_.queue = {RealJob("j1", 18'000), RealJob("j2", 18'000)};
  *snapshot_.queue[1].inputs[0].artifact.mutable_model_shape() = Gpt2Shape(6);
  const double paces[2][4] = {{0.01, 0.0099, 0.03, 0.03}, {0.03, 0.03, 0.01, 0.0095}};
  for (size_t job = 0; job < 2; ++job) {
    for (size_t device = 0; device < 4; ++device) {
      Learn(snapshot_.devices[device], snapshot_.queue[job], {paces[job][device], 10}, profiles_);
    }
  }
  const absl::Time soon = kTestNow + absl::Minutes(20);
  snapshot_.queue[0].last_place = LastPlace{.device = DeviceId("id-a"), .start = soon};
  snapshot_.queue[1].last_place = LastPlace{.device = DeviceId("id-c"), .start = soon};
  EXPECT_THAT(Plan(), ElementsAre("j1 waits for id-a", "j2 waits for id-d"));
}

}  // namespace
}  // namespace wattle::scheduler
