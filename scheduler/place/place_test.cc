// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests `wattle plan`: its choice, its answer and its errors.
#include "scheduler/place/place.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

v1::PlanResponse Plan(const Snapshot& snapshot, const JobView& job) {
  const auto plan = PlanJob(snapshot, job);
  EXPECT_THAT(plan, IsOk());
  return plan.value_or(v1::PlanResponse());
}

// The Orin Nano is busy for two hours. With the objective energy the job waits for it; with time
// the job does not.
TEST(PlanJobTest, TheObjectiveDecides) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, priors);
  snapshot.devices[1].free_at = kTestNow + absl::Hours(2);

  const v1::PlanResponse energy =
      Plan(snapshot, MakeJob("j1", PublishedSpec(12, v1::OBJECTIVE_ENERGY)));
  EXPECT_EQ(energy.chosen_device_id(), "id-orin");
  EXPECT_TRUE(energy.wait());
  EXPECT_THAT(energy.reason(), HasSubstr("waits 2 h 00 min until it is free, saves"));
  EXPECT_THAT(energy.reason(), HasSubstr("against nx, which is free"));

  const v1::PlanResponse time =
      Plan(snapshot, MakeJob("j1", PublishedSpec(12, v1::OBJECTIVE_TIME)));
  EXPECT_EQ(time.chosen_device_id(), "id-nx");
  EXPECT_FALSE(time.wait());
  EXPECT_EQ(time.objective(), v1::OBJECTIVE_TIME);
}

TEST(PlanJobTest, TimeWaitsWhereWaitingEndsEarlier) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, priors);
  snapshot.devices[1].free_at = kTestNow + absl::Minutes(10);
  const v1::PlanResponse plan =
      Plan(snapshot, MakeJob("j1", PublishedSpec(12, v1::OBJECTIVE_TIME)));
  EXPECT_EQ(plan.chosen_device_id(), "id-orin");
  EXPECT_TRUE(plan.wait());
}

TEST(PlanJobTest, EnergyDelayProductLiesBetween) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, priors);
  const JobView job = MakeJob("j1", PublishedSpec(12, v1::OBJECTIVE_EDP));
  snapshot.devices[1].free_at = kTestNow + absl::Hours(1);
  EXPECT_EQ(Plan(snapshot, job).chosen_device_id(), "id-orin");
  snapshot.devices[1].free_at = kTestNow + absl::Hours(10);
  const v1::PlanResponse plan = Plan(snapshot, job);
  EXPECT_EQ(plan.chosen_device_id(), "id-nx");
  EXPECT_DOUBLE_EQ(plan.candidates(0).cost(), plan.candidates(0).marginal_energy_joules() *
                                                  plan.candidates(0).finish_in_seconds());
}

TEST(PlanJobTest, AReserveDecides) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, priors);
  SetBattery(150, 0.8, &snapshot.devices[1]);
  const JobView job = MakeJob("j1", PublishedSpec(12));
  EXPECT_EQ(Plan(snapshot, job).chosen_device_id(), "id-orin");
  v1::Policy policy;
  policy.set_name("mast");
  policy.set_reserve_state_of_charge_ratio(0.6);
  snapshot.policies = {policy};
  const v1::PlanResponse plan = Plan(snapshot, job);
  EXPECT_EQ(plan.chosen_device_id(), "id-nx");
  const v1::Candidate* refused = FindCandidate(plan, "orin");
  EXPECT_EQ(refused->refused_by(), "battery_reserve");
  EXPECT_TRUE(refused->has_battery());
  EXPECT_DOUBLE_EQ(refused->state_of_charge_ratio(), 0.8);
  EXPECT_LT(refused->state_of_charge_after_ratio(), 0.6);
  EXPECT_GT(refused->state_of_charge_after_ratio(), 0.4);
}

TEST(PlanJobTest, ShowsEveryDeviceWithItsPrediction) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot(
      {XavierNx("b"), MakeDevice("raspberry-pi-5", "pi"), XavierNx("a"), OrinNano()}, priors);
  snapshot.devices[1].device.set_drained(true);
  snapshot.devices[2].device.set_connected(false);
  const v1::PlanResponse plan = Plan(snapshot, MakeJob("j1", PublishedSpec(12)));
  std::vector<std::string> order;
  for (const v1::Candidate& candidate : plan.candidates()) {
    order.push_back(candidate.device_name());
    EXPECT_GT(candidate.prediction().run_seconds().mean(), 0);
    EXPECT_GT(candidate.prediction().mean_power_watts(), 0);
    EXPECT_EQ(candidate.feasible(), candidate.refused_by().empty());
  }
  EXPECT_THAT(order, testing::ElementsAre("orin", "b", "a", "pi"));
  EXPECT_EQ(plan.sequence_number(), 17);
  EXPECT_DOUBLE_EQ(plan.work_units(), 20000);
  EXPECT_EQ(plan.unit(), v1::WORK_UNIT_EXAMPLE);
}

TEST(PlanJobTest, WallSecondsFollowTheTimeScale) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  const JobView job = MakeJob("j1", PublishedSpec(12));
  const double real = Plan(snapshot, job).candidates(0).finish_in_seconds();
  snapshot.devices[0].device.mutable_info()->set_time_scale(0.01);
  const v1::PlanResponse plan = Plan(snapshot, job);
  EXPECT_NEAR(plan.candidates(0).finish_in_seconds(), 0.01 * real, 1e-6);
  EXPECT_NEAR(plan.candidates(0).prediction().run_seconds().mean(), 11726, 59);
  // A deadline is wall time too: only for the real board are 600 s too few.
  JobView urgent = job;
  urgent.spec.set_deadline_seconds(600);
  EXPECT_TRUE(Plan(snapshot, urgent).candidates(0).feasible());
  snapshot.devices[0].device.mutable_info()->set_time_scale(1);
  EXPECT_EQ(Plan(snapshot, urgent).candidates(0).refused_by(), "deadline");
}

TEST(PlanJobTest, SurroundingsAreColumnsOfTheirOwnAndEnterTheObjective) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  snapshot.devices[0].device.mutable_heartbeat()->set_idle_power_watts(3.5);
  const v1::PlanResponse plan = Plan(snapshot, RealJob("j1", 1000));
  const v1::Prediction& prediction = plan.candidates(0).prediction();
  EXPECT_GT(prediction.fetch_seconds(), 0);
  EXPECT_GT(prediction.start_seconds(), 0);
  EXPECT_GT(prediction.checkpoint_seconds(), 0);
  EXPECT_GT(prediction.upload_seconds(), 0);
  EXPECT_NEAR(plan.candidates(0).cost(),
              prediction.net_energy_joules() + prediction.fetch_energy_joules() +
                  prediction.start_energy_joules() + prediction.checkpoint_energy_joules() +
                  prediction.upload_energy_joules(),
              1e-6);
  EXPECT_NEAR(plan.candidates(0).finish_in_seconds(),
              prediction.run_seconds().mean() + prediction.fetch_seconds() +
                  prediction.start_seconds() + prediction.checkpoint_seconds() +
                  prediction.upload_seconds(),
              1e-6);
}

TEST(PlanJobTest, ARefusalByEveryDeviceSaysWhatWouldHaveToChange) {
  const ProfileTable priors = ProfileTable::Priors();
  EXPECT_THAT(Plan(MakeSnapshot({}, priors), MakeJob("j1", PublishedSpec(12))).reason(),
              HasSubstr("no device has registered"));
  Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, priors);
  snapshot.devices[0].device.set_drained(true);
  JobView job = MakeJob("j1", PublishedSpec(12));
  job.spec.add_required_labels("gpu");
  const v1::PlanResponse plan = Plan(snapshot, job);
  EXPECT_EQ(plan.chosen_device_id(), "");
  EXPECT_THAT(plan.reason(), HasSubstr("no device of this fleet can run it; the nearest is "));
  EXPECT_THAT(plan.reason(), HasSubstr("feasible with it"));
}

TEST(PlanJobTest, AnOverdueAttemptStillHoldsItsDevice) {
  const ProfileTable priors = ProfileTable::Priors();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  snapshot.devices[0].device.set_running_attempt_id("j0.1");
  snapshot.devices[0].free_at = kTestNow - absl::Minutes(3);
  const v1::PlanResponse plan = Plan(snapshot, MakeJob("j1", PublishedSpec(12)));
  EXPECT_TRUE(plan.wait());
  EXPECT_GT(plan.candidates(0).start_in_seconds(), 0);
}

TEST(PlanJobTest, NonsenseIsInvalidAndNamesTheField) {
  const ProfileTable priors = ProfileTable::Priors();
  const Snapshot snapshot = MakeSnapshot({OrinNano()}, priors);
  JobView job = MakeJob("j1", PublishedSpec(12));
  job.spec.mutable_finetune()->mutable_model_shape()->set_width(0);
  EXPECT_THAT(PlanJob(snapshot, job), StatusIs(absl::StatusCode::kInvalidArgument,
                                               HasSubstr("finetune.model_shape.width: 0")));
}

v1::Candidate RefusedBy(const std::string& name, const std::string& rule, bool permanent) {
  v1::Candidate candidate;
  candidate.set_device_name(name);
  candidate.set_refused_by(rule);
  candidate.set_permanent(permanent);
  return candidate;
}

TEST(NearestToFeasibleTest, IsTheDeviceThatGetsFurthest) {
  const v1::Candidate unlabelled = RefusedBy("a", "labels", true);
  const v1::Candidate also_unlabelled = RefusedBy("b", "labels", true);
  const v1::Candidate small = RefusedBy("c", "memory", true);
  const v1::Candidate busy = RefusedBy("d", "drained", false);
  EXPECT_EQ(NearestToFeasible({}), nullptr);
  const v1::Candidate* const most[] = {&unlabelled, &also_unlabelled, &small};
  EXPECT_EQ(NearestToFeasible(most), &small) << "the majority's rule is not the candidate's";
  const v1::Candidate* const passing[] = {&small, &busy};
  EXPECT_EQ(NearestToFeasible(passing), &busy) << "what may pass is nearer than what never does";
}

}  // namespace
}  // namespace wattle::scheduler
