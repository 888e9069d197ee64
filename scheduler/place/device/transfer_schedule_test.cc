// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of what a run fetches at one point of a plan, and when the link of its site has a turn.
#include "scheduler/place/device/transfer_schedule.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using testing::ElementsAre;

// For RealJob: 504 MB at 10 MB/s.
constexpr double kFetchSeconds = 50.4;
constexpr double kDataSeconds = 0.4;

class TransferScheduleTest : public testing::Test {
 protected:
  void Add(const std::string& name, const std::string& site) {
    DeviceView view = OrinNano(name);
    if (!site.empty()) {
      v1::Label& label = *view.device.mutable_info()->add_labels();
      label.set_key("site");
      label.set_value(site);
    }
    snapshot.devices.push_back(std::move(view));
  }
  // The candidate of each job of the queue that its plan chose, by PlanQueue.
  std::vector<v1::Candidate> Plan() {
    std::vector<v1::Candidate> chosen;
    for (const QueuePlacement& placed : PlanQueue(snapshot)) {
      EXPECT_NE(placed.placement.device_id(), "") << placed.placement.reason();
      chosen.push_back(placed.placement.best(0));
    }
    return chosen;
  }
  void Queue(const std::string& id, const std::string& data = "d") {
    snapshot.queue.push_back(RealJob(id, 1000));
    snapshot.queue.back().inputs[1].artifact.set_artifact_id(data);
  }

  const ProfileTable profiles = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({}, profiles);
};

TEST_F(TransferScheduleTest, WhatAnEarlierRunBringsIsThere) {
  Add("a", "");
  Queue("j1");
  Queue("j2");
  Queue("j3", "other");
  const std::vector<v1::Candidate> plan = Plan();
  EXPECT_NEAR(plan[0].prediction().fetch_seconds(), kFetchSeconds, 1e-6);
  EXPECT_EQ(plan[1].prediction().fetch_seconds(), 0);
  EXPECT_EQ(plan[1].prediction().fetch_bytes(), 0);
  EXPECT_EQ(plan[1].prediction().fetch_energy_joules(), 0);
  EXPECT_NEAR(plan[2].prediction().fetch_seconds(), kDataSeconds, 1e-6);
  // The model lies in memory: libtorch's start, and the weights at the rate of a core.
  EXPECT_LT(plan[1].prediction().start_seconds(), plan[0].prediction().start_seconds() - 2);
  EXPECT_GT(plan[1].prediction().start_seconds(), 2);
  // The joules of both are spared.
  EXPECT_LT(plan[1].marginal_energy_joules(), plan[0].marginal_energy_joules() - 70);
  EXPECT_NEAR(plan[1].finish_in_seconds() - plan[1].start_in_seconds(),
              plan[0].finish_in_seconds() - kFetchSeconds -
                  (plan[0].prediction().start_seconds() - plan[1].prediction().start_seconds()),
              1e-3);
}

// The run's start is later than the files' run, or it is not: only then they are there.
TEST_F(TransferScheduleTest, ARunInFrontOfTheOneThatBringsThemFetchesThem) {
  Add("a", "");
  const JobView job = RealJob("j1", 1000);
  v1::Prediction alone;
  alone.set_fetch_bytes(504'000'000);
  alone.set_fetch_seconds(kFetchSeconds);
  alone.set_start_seconds(8);
  alone.set_time_scale(1);
  DeviceLoad load;
  load.files = {{"m", kTestNow + absl::Hours(1)}};
  const auto at = [&](absl::Duration start) {
    return WithTransferSchedule({job, snapshot.devices[0], load, kTestNow + start}, alone, 5);
  };
  EXPECT_EQ(at(absl::Minutes(59)).fetch_seconds(), kFetchSeconds);
  EXPECT_EQ(at(absl::Minutes(59)).start_seconds(), 8);
  EXPECT_NEAR(at(absl::Hours(1)).fetch_seconds(), kDataSeconds, 1e-6);
  EXPECT_EQ(at(absl::Hours(1)).start_seconds(), 5);
}

TEST_F(TransferScheduleTest, WhatTheRunningAttemptBringsIsThereToo) {
  Add("a", "");
  snapshot.devices[0].free_at = kTestNow + absl::Hours(1);
  snapshot.devices[0].coming_artifact_ids = {"m", "d"};
  Queue("j1");
  EXPECT_EQ(Plan()[0].prediction().fetch_seconds(), 0);
}

// A row's start is the mean of the board's own ones, warm and cold.
TEST_F(TransferScheduleTest, AMeasuredStartStaysAsItIs) {
  Add("a", "");
  const JobView job = RealJob("j1", 1000);
  v1::Prediction alone;
  alone.set_start_seconds(8);
  alone.set_start_energy_joules(24);
  alone.set_time_scale(1);
  DeviceLoad load;
  load.files = {{"m", kTestNow}};
  const RunWithTransfers run{job, snapshot.devices[0], load, kTestNow};
  EXPECT_EQ(WithTransferSchedule(run, alone, /*warm_start_seconds=*/8).start_seconds(), 8);
  EXPECT_EQ(WithTransferSchedule(run, alone, 2).start_seconds(), 2);
  EXPECT_EQ(WithTransferSchedule(run, alone, 2).start_energy_joules(), 6);
}

TEST_F(TransferScheduleTest, BoardsOfASiteTakeTurns) {
  Add("a", "north");
  Add("b", "north");
  Add("c", "north");
  Add("d", "south");
  for (const char* const id : {"j1", "j2", "j3", "j4"}) {
    Queue(id);
    snapshot.queue.back().spec.set_objective(v1::OBJECTIVE_TIME);
  }
  const auto fetches = [this] {
    std::vector<double> seconds;
    for (const v1::Candidate& one : Plan()) {
      EXPECT_EQ(one.start_in_seconds(), 0);
      seconds.push_back(one.prediction().fetch_seconds());
    }
    std::sort(seconds.begin(), seconds.end());
    return seconds;
  };
  const auto near = [](double seconds) { return testing::DoubleNear(seconds, 2); };
  snapshot.transfers_per_site = 3;
  EXPECT_THAT(fetches(), ElementsAre(near(50), near(50), near(50), near(50)));
  snapshot.transfers_per_site = 2;
  EXPECT_THAT(fetches(), ElementsAre(near(50), near(50), near(50), near(101)));
  snapshot.transfers_per_site = 1;
  EXPECT_THAT(fetches(), ElementsAre(near(50), near(50), near(101), near(152)));
  const std::vector<v1::Candidate> plan = Plan();
  int told = 0;
  for (const v1::Candidate& one : plan) {
    const std::string note =
        "other boards fetch first over the link of site north, which takes 51.0 s";
    told += one.prediction().provenance_note().find(note) != std::string::npos ? 1 : 0;
    EXPECT_NEAR(one.prediction().fetch_energy_joules(), 1.5 * kFetchSeconds, 1)
        << "who waits draws no more than idle";
    EXPECT_NEAR(one.finish_in_seconds(),
                plan[0].finish_in_seconds() - plan[0].prediction().fetch_seconds() +
                    one.prediction().fetch_seconds(),
                1e-3);
  }
  EXPECT_EQ(told, 1);
}

TEST_F(TransferScheduleTest, AFetchThatGoesOnHasItsTurn) {
  Add("a", "north");
  Add("b", "north");
  snapshot.transfers_per_site = 1;
  snapshot.devices[0].free_at = kTestNow + absl::Hours(3);
  snapshot.devices[0].fetches_for = absl::Minutes(10);
  Queue("j1");
  snapshot.queue[0].spec.set_objective(v1::OBJECTIVE_TIME);
  EXPECT_NEAR(Plan()[0].prediction().fetch_seconds(), 600 + kFetchSeconds, 2);
  // A deadline counts the wait.
  const double run = Plan()[0].finish_in_seconds();
  snapshot.queue[0].spec.set_deadline_seconds(run - 300);
  for (const QueuePlacement& placed : PlanQueue(snapshot)) {
    EXPECT_EQ(placed.placement.device_id(), "") << placed.placement.reason();
  }
  // Files on the board need no turn.
  snapshot.queue[0].spec.set_deadline_seconds(0);
  for (const char* const id : {"m", "d"}) {
    snapshot.devices[1].device.mutable_heartbeat()->add_cached_artifact_ids(id);
  }
  EXPECT_EQ(Plan()[0].prediction().fetch_seconds(), 0);
}

// The bound of a plan's cost: behind it fetches do not add up any more.
TEST_F(TransferScheduleTest, AFewFetchesOfASiteAreFollowed) {
  for (int i = 0; i < 70; ++i) {
    Add("n" + std::to_string(100 + i), "north");
    // Long enough that each job takes its own board.
    snapshot.queue.push_back(RealJob("j" + std::to_string(1 + i), 100'000));
    snapshot.queue.back().spec.set_objective(v1::OBJECTIVE_TIME);
  }
  snapshot.transfers_per_site = 1;
  double longest = 0;
  for (const v1::Candidate& one : Plan()) {
    longest = std::max(longest, one.prediction().fetch_seconds());
  }
  EXPECT_GT(longest, 60 * kFetchSeconds);
  EXPECT_LT(longest, 66 * (kFetchSeconds + 1));
}

}  // namespace
}  // namespace wattle::scheduler
