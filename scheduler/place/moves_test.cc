// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of running attempts that move because their rest costs less elsewhere.
#include "scheduler/place/moves.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
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
using ::testing::IsEmpty;
using ::testing::SizeIs;

// 3.6 million tokens in 4500 steps: 10 h at 0.01 s a token.
JobView TenHours(const std::string& id, v1::Objective objective = v1::OBJECTIVE_ENERGY) {
  JobView job = RealJob(id, 18'000, objective);
  job.spec.mutable_finetune()->set_batch_size(8);
  return job;
}
constexpr int64_t kHalfOfTheSteps = 18'000 / 8 / 2;

// The board b is free and does the job in 10 h at 10 W. j1 runs on the board a and has half of its
// steps left there.
class MovesTest : public testing::Test {
 protected:
  MovesTest() : snapshot_(MakeSnapshot({Board("a"), Board("b")}, profiles_)) {
    snapshot_.devices[0].free_at = kTestNow + absl::Hours(5);
    snapshot_.devices[0].device.set_running_attempt_id("j1.1");
    Teach(1, {0.01, 10});
    snapshot_.running = {Rest("j1", absl::Hours(5), 2 * 180'000)};
  }

  static DeviceView Board(const std::string& name) {
    DeviceView view = OrinNano(name);
    view.device.mutable_info()->set_link_bytes_per_second(1e8);
    return view;
  }
  // Many runs, so that the prediction is narrow.
  void Teach(size_t device, MeasuredPace pace) {
    for (int run = 0; run < 20; ++run) {
      Learn(snapshot_.devices[device], TenHours("j0"), pace, profiles_);
    }
  }
  static RunningRest Rest(const std::string& job, absl::Duration remaining, double joules,
                          v1::Objective objective = v1::OBJECTIVE_ENERGY) {
    RunningRest rest;
    rest.attempt = AttemptId(absl::StrCat(job, ".1"));
    rest.device = DeviceId("id-a");
    rest.job = TenHours(job, objective);
    rest.job.checkpoint_step = kHalfOfTheSteps;
    rest.job.checkpoint_bytes = 1'000'000'000;
    rest.job.avoided_devices = {DeviceId("id-a")};
    rest.remaining = remaining;
    rest.marginal = Joules(joules);
    rest.hand_over = absl::Minutes(1);
    rest.hand_over_energy = Joules(600);
    return rest;
  }
  // "j1.1 to id-b".
  [[nodiscard]] std::vector<std::string> Moves() const {
    std::vector<std::string> moves;
    for (const GainfulMove& move : PlanQueueAndMoves(snapshot_).moves) {
      moves.push_back(absl::StrCat(move.attempt.value(), " to ", move.device.value()));
    }
    return moves;
  }
  RunningRest& rest() { return snapshot_.running.front(); }

  ProfileTable profiles_;
  Snapshot snapshot_;
};

TEST_F(MovesTest, ARestMovesToTheBoardWhereItTakesHalfTheJoules) {
  const std::vector<GainfulMove> moves = PlanQueueAndMoves(snapshot_).moves;
  ASSERT_THAT(moves, SizeIs(1));
  EXPECT_EQ(moves[0].attempt.value(), "j1.1");
  EXPECT_EQ(moves[0].device.value(), "id-b");
  EXPECT_EQ(moves[0].reason,
            "moves to b: its rest takes 52.61 Wh there and 100.0 Wh here; checkpoint and "
            "transfer 654.2 J");
}

TEST_F(MovesTest, AGainOfATenthIsNotEnough) {
  rest().marginal = Joules(1.10 * 190'000);
  EXPECT_THAT(Moves(), IsEmpty());
  rest().marginal = Joules(1.16 * 190'000);
  EXPECT_THAT(Moves(), IsEmpty()) << "at the upper end of the prediction the gain is too small";
  rest().marginal = Joules(1.25 * 190'000);
  EXPECT_THAT(Moves(), SizeIs(1));
}

TEST_F(MovesTest, AShortRestStays) {
  rest().remaining = absl::Minutes(4);
  EXPECT_THAT(Moves(), IsEmpty());
  rest().remaining = absl::Minutes(6);
  EXPECT_THAT(Moves(), SizeIs(1));
}

TEST_F(MovesTest, TheGainIsThreeTimesWhatTheWayTakes) {
  rest().hand_over_energy = Joules(50'000);  // Against a gain of 106 kJ.
  EXPECT_THAT(Moves(), IsEmpty());
  rest().hand_over_energy = Joules(30'000);  // Against a gain of 126 kJ.
  EXPECT_THAT(Moves(), SizeIs(1));
  // 40 GB over the board's link draw as much.
  rest().hand_over_energy = Joules(600);
  rest().job.checkpoint_bytes = int64_t{40} * 1'000'000'000;
  EXPECT_THAT(Moves(), SizeIs(1));
  snapshot_.devices[1].device.mutable_info()->set_link_bytes_per_second(1e6);
  EXPECT_THAT(Moves(), IsEmpty());
}

TEST_F(MovesTest, EachObjectiveCountsWhatItMakesSmall) {
  // The rest ends an hour later on b, for half of the joules.
  const auto moves = [&](v1::Objective objective, absl::Duration remaining) {
    rest() = Rest("j1", remaining, 2 * 180'000, objective);
    return Moves().size();
  };
  EXPECT_EQ(moves(v1::OBJECTIVE_ENERGY, absl::Hours(4)), 1);
  EXPECT_EQ(moves(v1::OBJECTIVE_TIME, absl::Hours(4)), 0);
  EXPECT_EQ(moves(v1::OBJECTIVE_TIME, absl::Hours(6)), 0);
  EXPECT_EQ(moves(v1::OBJECTIVE_TIME, absl::Hours(7)), 1);
  EXPECT_EQ(moves(v1::OBJECTIVE_EDP, absl::Hours(4)), 1);
  EXPECT_EQ(moves(v1::OBJECTIVE_EDP, absl::Hours(2)), 0);
}

TEST_F(MovesTest, TheDeadlineHoldsAtTheUpperEnd) {
  const v1::Candidate there = PlanJob(snapshot_, rest().job)->candidates(0);
  const double high = there.finish_in_seconds() - there.prediction().run_seconds().mean() +
                      there.prediction().run_seconds().high() + 60;
  rest().job.spec.set_deadline_seconds(high - 10);
  EXPECT_THAT(Moves(), IsEmpty());
  rest().job.spec.set_deadline_seconds(high + 10);
  EXPECT_THAT(Moves(), SizeIs(1));
}

TEST_F(MovesTest, NoPlaceOfTheQueueMovesForARest) {
  snapshot_.queue = {TenHours("j2")};  // The job starts on b now.
  EXPECT_THAT(Moves(), IsEmpty());
  snapshot_.queue[0].avoided_devices = {DeviceId("id-b")};  // The job waits for a.
  EXPECT_THAT(Moves(), SizeIs(1));
  // A job has its place on b in an hour: the rest does not fit in front of it.
  std::vector<DeviceLoad> loads = InitialLoads(snapshot_);
  const auto reserve = [&](absl::Duration in) {
    loads[1].reserved = {{kTestNow + in, kTestNow + in + absl::Hours(1), Joules(1)}};
    return MovesByGain(snapshot_, loads, {}).size();
  };
  EXPECT_EQ(reserve(absl::Hours(1)), 0);
  EXPECT_EQ(reserve(absl::Hours(5)), 0);  // Fits only by its mean.
  EXPECT_EQ(reserve(absl::Hours(9)), 1);
}

TEST_F(MovesTest, ABoardIsTakenOnce) {
  snapshot_.running.push_back(Rest("j2", absl::Hours(6), 3 * 180'000));
  EXPECT_THAT(Moves(), ElementsAre("j2.1 to id-b"));
  // Another rest is on its way.
  snapshot_.running.push_back(Rest("j3", absl::Hours(1), 3 * 180'000));
  snapshot_.running.back().leaves = true;
  EXPECT_THAT(Moves(), IsEmpty());
}

TEST_F(MovesTest, ABoardThatIsBusyOrNeverMeasuredGetsNoRest) {
  DeviceView guess = Board("c");
  guess.device.mutable_info()->set_device_class("raspberry-pi-4");
  guess.device.mutable_info()->set_emulated(false);
  snapshot_.devices.push_back(guess);
  snapshot_.devices[1].free_at = kTestNow + absl::Minutes(1);
  rest().remaining = absl::Hours(500);
  rest().marginal = Joules(1e9);
  EXPECT_THAT(Moves(), IsEmpty());
  snapshot_.devices[1].free_at = kTestNow;
  EXPECT_THAT(Moves(), ElementsAre("j1.1 to id-b"));
}

TEST_F(MovesTest, AnAttemptThatLeavesForADeadlineStays) {
  EXPECT_THAT(MovesByGain(snapshot_, InitialLoads(snapshot_), {AttemptId("j1.1")}), IsEmpty());
  EXPECT_THAT(MovesByGain(snapshot_, InitialLoads(snapshot_), {}), SizeIs(1));
}

TEST_F(MovesTest, TheOrderOfDevicesAndRestsPlaysNoPart) {
  std::mt19937 dice(32);
  for (int board = 0; board < 3; ++board) {
    snapshot_.devices.push_back(Board(absl::StrCat("d", board)));
    Teach(snapshot_.devices.size() - 1, {0.009 - 0.0005 * board, 10});
  }
  for (int job = 2; job < 9; ++job) {
    snapshot_.running.push_back(
        Rest(absl::StrCat("j", job), absl::Minutes(60 * job), 180'000.0 + 20'000 * job));
  }
  const std::vector<std::string> moves = Moves();
  EXPECT_THAT(moves, SizeIs(4));
  for (int round = 0; round < 8; ++round) {
    SCOPED_TRACE(round);
    std::shuffle(snapshot_.devices.begin(), snapshot_.devices.end(), dice);
    std::shuffle(snapshot_.running.begin(), snapshot_.running.end(), dice);
    EXPECT_EQ(Moves(), moves);
  }
}

// A plan evaluates some of many rests, and later plans the others.
TEST_F(MovesTest, EachRestHasItsTurn) {
  snapshot_.running.clear();
  for (int job = 1; job <= 200; ++job) {
    snapshot_.running.push_back(Rest(absl::StrCat("j", job), absl::Hours(5), 100'000));
  }
  snapshot_.running[120].marginal = Joules(400'000);
  std::set<size_t> found;
  for (int64_t turn = 0; turn < 200; ++turn) {
    snapshot_.sequence = SequenceNumber(turn);
    found.insert(Moves().size());
  }
  EXPECT_THAT(found, ElementsAre(0, 1));
}

}  // namespace
}  // namespace wattle::scheduler
