// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the plan of a queue: order, waiting and reservations, and a brute-force oracle on tiny
// instances.
#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

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

TEST(PlanQueueTest, PriorityThenAgeThenId) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  snapshot.queue = {RealJob("j10", 100), RealJob("j9", 100), RealJob("j11", 100),
                    RealJob("j12", 100)};
  snapshot.queue[2].submitted = kTestNow - absl::Minutes(1);
  snapshot.queue[3].spec.set_priority(5);
  EXPECT_THAT(Summary(PlanQueue(snapshot)),
              ElementsAre("j12 on id-orin", "j11 waits for id-orin", "j9 waits for id-orin",
                          "j10 waits for id-orin"));
}

TEST(PlanQueueTest, AWaitingJobDoesNotStarve) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  snapshot.queue = {RealJob("j1", 100), RealJob("j2", 100)};
  snapshot.queue[1].spec.set_priority(3);
  EXPECT_EQ(PlanQueue(snapshot)[0].job, JobId("j2"));
  snapshot.queue[0].submitted = kTestNow - absl::Hours(4);  // Four hours of waiting add four.
  EXPECT_EQ(PlanQueue(snapshot)[0].job, JobId("j1"));
}

TEST(PlanQueueTest, EnergyWaitsAndTimeTakesTheFreeBoard) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, priors);
  snapshot.devices[1].free_at = kTestNow + absl::Hours(20);
  snapshot.queue = {RealJob("j1", 20000, v1::OBJECTIVE_ENERGY),
                    RealJob("j2", 20000, v1::OBJECTIVE_TIME)};
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 waits for id-orin", "j2 on id-nx"));
}

TEST(PlanQueueTest, AWaitingJobHoldsItsPlace) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  snapshot.devices[0].free_at = kTestNow + absl::Hours(1);
  snapshot.queue = {RealJob("j1", 20000), RealJob("j2", 20000)};
  const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
  const v1::Candidate& first = placements[0].placement.best(0);
  const v1::Candidate& second = placements[1].placement.best(0);
  EXPECT_DOUBLE_EQ(first.start_in_seconds(), 3600);
  EXPECT_NEAR(second.start_in_seconds(), first.finish_in_seconds(), 1e-6);
  EXPECT_THAT(placements[1].placement.reason(), HasSubstr("waits"));
}

TEST(PlanQueueTest, EarlierJobsDrawOnTheBatteryOfLaterOnes) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  SetBattery(120, 0.9, &snapshot.devices[0]);
  v1::Policy policy;
  policy.set_name("mast");
  policy.set_reserve_state_of_charge_ratio(0.3);
  snapshot.policies = {policy};
  snapshot.queue = {RealJob("j1", 12000), RealJob("j2", 12000)};
  const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
  EXPECT_EQ(placements[0].placement.device_id(), "id-orin");
  EXPECT_EQ(placements[1].placement.device_id(), "");
  EXPECT_THAT(placements[1].placement.reason(), HasSubstr("the reserve is 30 %"));
  EXPECT_FALSE(placements[1].never);
}

TEST(PlanQueueTest, AnInvalidJobIsReportedAndDelaysNoOtherJob) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  snapshot.queue = {MakeJob("j1", v1::JobSpec()), RealJob("j2", 100)};
  const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
  EXPECT_TRUE(placements[0].never);
  EXPECT_THAT(placements[0].placement.reason(), HasSubstr("kind: missing"));
  EXPECT_EQ(placements[1].placement.device_id(), "id-orin");
}

TEST(PlanQueueTest, TheOrderOfTheSnapshotDoesNotMatter) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot =
      MakeSnapshot({XavierNx("a"), OrinNano("b"), OrinNano("c"), XavierNx("d")}, priors);
  for (int i = 0; i < 6; ++i) {
    snapshot.queue.push_back(RealJob("j" + std::to_string(i), 1000 * (i + 1)));
  }
  const std::vector<std::string> expected = Summary(PlanQueue(snapshot));
  std::mt19937 generator(3);
  for (int round = 0; round < 10; ++round) {
    std::shuffle(snapshot.queue.begin(), snapshot.queue.end(), generator);
    std::shuffle(snapshot.devices.begin(), snapshot.devices.end(), generator);
    EXPECT_EQ(Summary(PlanQueue(snapshot)), expected);
  }
}

TEST(PlanQueueTest, AnHourOfWaitingCostsAHundredthOfTheJoules) {
  ProfileTable profiles;
  Snapshot snapshot = MakeSnapshot({OrinNano("a"), OrinNano("b")}, profiles);
  snapshot.queue = {RealJob("j1", 1000)};
  Learn(snapshot.devices[0], snapshot.queue[0], {0.001, 10}, profiles);
  Learn(snapshot.devices[1], snapshot.queue[0], {0.001 * 1.05, 10}, profiles);
  snapshot.devices[0].free_at = kTestNow + absl::Hours(3);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 waits for id-a"));
  snapshot.devices[0].free_at = kTestNow + absl::Hours(5);
  const v1::Placement placement = PlanQueue(snapshot)[0].placement;
  EXPECT_EQ(placement.device_id(), "id-b");
  EXPECT_THAT(placement.reason(), HasSubstr("a would take"));
  EXPECT_THAT(placement.reason(), HasSubstr("less (3.8 %), and start 5 h 00 min later"));

  v1::Policy& patient = snapshot.policies.emplace_back();
  patient.set_patience_ratio_per_hour(0);
  snapshot.devices[0].free_at = kTestNow + absl::Hours(600);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 waits for id-a"));
  patient.set_patience_ratio_per_hour(1);
  snapshot.devices[0].free_at = kTestNow + absl::Minutes(4);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-b"));
}

// The runs before and the sun may take longer than planned.
TEST(PlanQueueTest, AWaitOfMoreThanHalfOfTheTimeToSpareIsNoChoice) {
  ProfileTable profiles;
  Snapshot snapshot = MakeSnapshot({OrinNano("a"), OrinNano("b")}, profiles);
  snapshot.queue = {RealJob("j1", 1000)};
  Learn(snapshot.devices[0], snapshot.queue[0], {0.001, 10}, profiles);
  Learn(snapshot.devices[1], snapshot.queue[0], {0.001 * 2, 10}, profiles);
  snapshot.devices[0].free_at = kTestNow + absl::Hours(4);
  snapshot.queue[0].spec.set_deadline_seconds(9 * 3600);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 waits for id-a"));
  snapshot.queue[0].spec.set_deadline_seconds(8 * 3600);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-b"));
}

TEST(PlanQueueTest, ABoardThatMeasuredClearlyBetterIsWaitedFor) {
  ProfileTable profiles;
  Snapshot snapshot = MakeSnapshot({OrinNano("a"), OrinNano("b")}, profiles);
  snapshot.queue = {RealJob("j1", 1000), RealJob("j2", 1000)};
  Learn(snapshot.devices[0], snapshot.queue[0], {0.001, 10}, profiles);
  Learn(snapshot.devices[1], snapshot.queue[0], {0.001 * 1.3, 10}, profiles);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-a", "j2 waits for id-a"));
}

// For a job that has waited long, a little more waiting changes the product little.
TEST(PlanQueueTest, TheDelayOfEdpBeginsAtTheSubmission) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, priors);
  snapshot.devices[1].free_at = kTestNow + absl::Hours(8);
  snapshot.queue = {RealJob("j1", 5000, v1::OBJECTIVE_EDP), RealJob("j2", 5000, v1::OBJECTIVE_EDP)};
  snapshot.queue[1].submitted = kTestNow - absl::Hours(100);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j2 waits for id-orin", "j1 on id-nx"));
}

// The oracle tries every assignment of jobs to devices in queue order. Without batteries and
// deadlines waiting costs no joules, so the greedy plan must reach the least fleet energy. With the
// objective time and one job the plan must reach the earliest end.
struct Oracle {
  std::vector<std::map<std::string, v1::Candidate>>
      options;  // For each job, the candidate of each device on an empty fleet.

  [[nodiscard]] double LeastEnergy(size_t job = 0) const {
    if (job == options.size()) {
      return 0;
    }
    double least = std::numeric_limits<double>::infinity();
    for (const auto& [device, candidate] : options[job]) {
      least = std::min(least, candidate.marginal_energy_joules() + LeastEnergy(job + 1));
    }
    return least;
  }
};

TEST(PlanQueueTest, EnergyOfTheQueueEqualsTheBruteForceMinimum) {
  constexpr unsigned kSeed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 generator(kSeed);
  const ProfileTable priors = ProfileTable::Priors();
  for (int round = 0; round < 30; ++round) {
    Snapshot snapshot = MakeSnapshot({}, priors);
    const int devices = 1 + static_cast<int>(generator() % 3);
    for (int i = 0; i < devices; ++i) {
      DeviceView view = generator() % 2 == 0 ? XavierNx("x" + std::to_string(i))
                                             : OrinNano("o" + std::to_string(i));
      view.free_at = kTestNow + absl::Seconds(generator() % 20000);
      // Boards of a class cost the same, and the two classes differ by more than the predictions'
      // error: no choice is a tie.
      view.device.mutable_heartbeat()->set_idle_power_watts(3);
      snapshot.devices.push_back(view);
    }
    Oracle oracle;
    for (int j = 0; j < 4; ++j) {
      snapshot.queue.push_back(
          RealJob("j" + std::to_string(j), 100 + static_cast<int64_t>(generator() % 5000)));
      for (InputView& input : snapshot.queue.back().inputs) {  // No run brings another one's files.
        input.artifact.set_artifact_id(input.field + std::to_string(j));
      }
      const auto plan = PlanJob(snapshot, snapshot.queue.back());
      ASSERT_THAT(plan, IsOk());
      oracle.options.emplace_back();
      for (const v1::Candidate& candidate : plan->candidates()) {
        oracle.options.back()[candidate.device_id()] = candidate;
      }
    }
    double planned = 0;
    std::map<std::string, double> busy_until;
    for (const QueuePlacement& placed : PlanQueue(snapshot)) {
      const v1::Candidate& chosen = placed.placement.best(0);
      planned += chosen.marginal_energy_joules();
      // At most one attempt at a time.
      EXPECT_GE(chosen.start_in_seconds(), busy_until[chosen.device_id()] - 1e-6);
      busy_until[chosen.device_id()] = chosen.finish_in_seconds();
    }
    EXPECT_NEAR(planned, oracle.LeastEnergy(), 1e-3 * planned) << "round " << round;
  }
}

TEST(PlanQueueTest, EachTimeJobTakesItsEarliestEndGivenTheOnesBefore) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, priors);
  std::map<std::string, double> free_at = {{"id-nx", 0}, {"id-orin", 0}};
  std::vector<std::map<std::string, double>> durations;
  for (int j = 0; j < 6; ++j) {
    snapshot.queue.push_back(RealJob("j" + std::to_string(j), 500 * (7 - j), v1::OBJECTIVE_TIME));
    const auto plan = PlanJob(snapshot, snapshot.queue.back());
    ASSERT_THAT(plan, IsOk());
    durations.emplace_back();
    for (const v1::Candidate& candidate : plan->candidates()) {
      durations.back()[candidate.device_id()] = candidate.finish_in_seconds();
    }
  }
  const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
  for (size_t j = 0; j < placements.size(); ++j) {
    std::string best;
    for (const auto& [device, seconds] : durations[j]) {
      if (best.empty() || free_at[device] + seconds < free_at[best] + durations[j][best]) {
        best = device;
      }
    }
    EXPECT_EQ(placements[j].placement.device_id(), best) << j;
    free_at[best] += durations[j][best];
  }
}

}  // namespace
}  // namespace wattle::scheduler
