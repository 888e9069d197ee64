// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that a job which nothing is sure to bring in time starts where it is expected to be.
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/event_loop_for_test.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Ends {
  double mean;
  double upper;
};

// Seconds from now, of a job that starts now.
Ends EndsOf(const v1::Candidate& run) {
  const v1::Interval& seconds = run.prediction().run_seconds();
  return {run.finish_in_seconds(), run.finish_in_seconds() + seconds.high() - seconds.mean()};
}

Ends EndsOf(absl::Duration length, double speed = 1) {
  EventLoop loop;
  loop.Add(OrinNano(), speed);
  loop.Arrive(0, JobOf("j1", length));
  return EndsOf(loop.FirstPlan().front().placement.best(0));
}

JobView WithDeadline(JobView job, double seconds, int priority = 0) {
  job.spec.set_deadline_seconds(seconds);
  job.spec.set_priority(priority);
  return job;
}

// A job of an hour that is in time by its mean, and late at the upper end of its run.
JobView ProbablyInTime(const std::string& id) {
  const Ends ends = EndsOf(absl::Hours(1));
  return WithDeadline(JobOf(id, absl::Hours(1)), (ends.mean + ends.upper) / 2);
}

DeviceView Named(DeviceView view, const std::string& name) {
  view.device.mutable_info()->set_device_id("id-" + name);
  view.device.mutable_info()->set_name(name);
  return view;
}

// Board b takes this share of the time of board a, and draws so many times the watts.
Snapshot TwoBoards(double other_pace, double other_watts, ProfileTable& profiles) {
  const std::vector<DeviceView> boards = {Named(OrinNano(), "a"), Named(OrinNano(), "b")};
  const JobView job = JobOf("j1", absl::Hours(1));
  for (int run = 0; run < 20; ++run) {  // Measured often: the interval is narrow.
    Learn(boards[0], job, {.seconds_per_token = 0.01, .watts = kLoopWatts}, profiles);
    Learn(boards[1], job,
          {.seconds_per_token = 0.01 * other_pace, .watts = other_watts * kLoopWatts}, profiles);
  }
  return MakeSnapshot(boards, profiles);
}

TEST(StartByMeanTest, AJobThatIsProbablyInTimeStartsAndSaysWhatMayHappen) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, ProbablyInTime("j1"));
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(1));
  EXPECT_FALSE(plan[0].never);
  EXPECT_FALSE(plan[0].placement.wait());
  EXPECT_FALSE(plan[0].placement.device_id().empty());
  EXPECT_THAT(plan[0].placement.reason(),
              HasSubstr(" after its deadline, and no device is sure to be in time"));
}

TEST(StartByMeanTest, OneThatIsProbablyLateDoesNot) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, WithDeadline(JobOf("j1", absl::Hours(1)), EndsOf(absl::Hours(1)).mean - 1));
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(1));
  EXPECT_TRUE(plan[0].never);
  EXPECT_THAT(plan[0].placement.device_id(), IsEmpty());
  EXPECT_THAT(plan[0].placement.reason(), HasSubstr("may end in "));
}

// Board b takes half of the time, and more joules.
TEST(StartByMeanTest, WhereABoardIsSureTheCheaperOneThatMayBeLateIsNoChoice) {
  ProfileTable profiles;
  Snapshot snapshot = TwoBoards(/*other_pace=*/0.5, /*other_watts=*/4, profiles);
  JobView job = JobOf("j1", absl::Hours(1));
  const absl::StatusOr<v1::PlanResponse> cheapest = PlanJob(snapshot, job);
  ASSERT_THAT(cheapest, IsOk());
  EXPECT_EQ(cheapest->chosen_device_id(), "id-a");
  const Ends ends = EndsOf(cheapest->candidates(0));
  job.spec.set_deadline_seconds((ends.mean + ends.upper) / 2);
  snapshot.queue = {job};
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-b"));
}

TEST(StartByMeanTest, OfBoardsThatMayBeLateTheFastestIsTheChoice) {
  ProfileTable profiles;
  Snapshot snapshot = TwoBoards(/*other_pace=*/0.999, /*other_watts=*/2, profiles);
  JobView job = JobOf("j1", absl::Hours(1));
  const absl::StatusOr<v1::PlanResponse> cheapest = PlanJob(snapshot, job);
  ASSERT_THAT(cheapest, IsOk());
  EXPECT_EQ(cheapest->chosen_device_id(), "id-a");
  job.spec.set_deadline_seconds(EndsOf(cheapest->candidates(0)).mean + 1);
  snapshot.queue = {job};
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-b"));
}

// Board b draws more, opens later and ends half a minute before board a.
TEST(StartByMeanTest, ABoardThatOpensLaterAndEndsSoonerIsTheChoice) {
  ProfileTable profiles;
  Snapshot snapshot = TwoBoards(/*other_pace=*/0.893, /*other_watts=*/4, profiles);
  JobView job = JobOf("j1", absl::Hours(1));
  const absl::StatusOr<v1::PlanResponse> both = PlanJob(snapshot, job);
  ASSERT_THAT(both, IsOk());
  ASSERT_EQ(both->chosen_device_id(), "id-a");
  const Ends a = EndsOf(both->candidates(0));
  const Ends b = EndsOf(both->candidates(1));
  constexpr double kOpensIn = 3 * 60;
  ASSERT_LT(kOpensIn + b.mean, a.mean);
  ASSERT_GT(kOpensIn + b.upper, a.mean + 1) << "no board is sure to be in time";
  v1::Policy opens;
  opens.set_name("opens");
  opens.add_selector("device=b");
  opens.add_work_windows("08:03-20:00");  // The time is 08:00.
  snapshot.policies = {opens};
  job.spec.set_deadline_seconds(a.mean + 1);
  snapshot.queue = {job};
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 waits for id-b"));
}

TEST(StartByMeanTest, ItMakesNoJobLateThatIsSure) {
  const Ends ends = EndsOf(absl::Hours(1));
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  JobView probably = ProbablyInTime("j1");
  probably.spec.set_priority(50);
  loop.Arrive(0, probably);
  loop.Arrive(0, WithDeadline(JobOf("j2", absl::Hours(1)), ends.upper + 60));
  const auto outcomes = loop.Run();
  EXPECT_TRUE(outcomes.at("j1").failed);
  EXPECT_FALSE(outcomes.at("j2").failed);
  EXPECT_GT(outcomes.at("j2").ended, 0);
  EXPECT_LT(outcomes.at("j2").ended * 3600, ends.upper + 60);
}

TEST(StartByMeanTest, AJobThatOthersKeepFromItsStartIsNotImpossible) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, ProbablyInTime("j1"));
  loop.Arrive(0, WithDeadline(JobOf("j2", absl::Hours(1)), EndsOf(absl::Hours(1)).upper + 60));
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(2));
  for (const QueuePlacement& placed : plan) {
    EXPECT_FALSE(placed.never) << placed.job.value();
    EXPECT_EQ(placed.placement.device_id().empty(), placed.job.value() == "j1");
  }
}

// Each finds a board, although both are first looked at as the first job.
TEST(StartByMeanTest, TwoOfThemTakeABoardEach) {
  EventLoop loop;
  loop.Add(Named(OrinNano(), "a"), 1);
  loop.Add(Named(OrinNano(), "b"), 1);
  loop.Arrive(0, ProbablyInTime("j1"));
  loop.Arrive(0, ProbablyInTime("j2"));
  EXPECT_THAT(Summary(loop.FirstPlan()), ElementsAre("j1 on id-a", "j2 on id-b"));
}

// At its own turn j2 would wait behind j1, whose priority is higher.
TEST(StartByMeanTest, ItGoesFirstWhereItsOwnTurnIsTooLate) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  JobView old = JobOf("j1", absl::Hours(1));
  old.spec.set_priority(50);
  loop.Arrive(0, old);
  loop.Arrive(0, ProbablyInTime("j2"));
  const auto outcomes = loop.Run();
  EXPECT_FALSE(outcomes.at("j2").failed);
  EXPECT_LT(outcomes.at("j2").ended, outcomes.at("j1").ended);
}

TEST(StartByMeanTest, AJobWithoutADeadlineWaitsForIt) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, JobOf("j1", absl::Hours(1)));
  loop.Arrive(0, ProbablyInTime("j2"));
  const auto outcomes = loop.Run();
  EXPECT_FALSE(outcomes.at("j2").failed);
  EXPECT_LT(outcomes.at("j2").ended, outcomes.at("j1").ended);
}

TEST(StartByMeanTest, ItKeepsItsPlaceBehindRunningWork) {
  const Ends ends = EndsOf(absl::Hours(1));
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, WithDeadline(JobOf("j1", absl::Hours(1)), ends.upper + 60));
  loop.Arrive(0.5, WithDeadline(JobOf("j2", absl::Hours(1)),
                                2 * ends.mean - 1800 + (ends.upper - ends.mean) / 2));
  const auto outcomes = loop.Run();
  EXPECT_FALSE(outcomes.at("j1").failed);
  EXPECT_FALSE(outcomes.at("j2").failed);
}

TEST(StartByMeanTest, APlanOfOneJobAgrees) {
  ProfileTable profiles;
  DeviceView board = OrinNano();
  JobView job = JobOf("j1", absl::Hours(1));
  for (int run = 0; run < 20; ++run) {
    Learn(board, job, {.seconds_per_token = 0.01, .watts = kLoopWatts}, profiles);
  }
  const Snapshot snapshot = MakeSnapshot({board}, profiles);
  const absl::StatusOr<v1::PlanResponse> alone = PlanJob(snapshot, job);
  ASSERT_THAT(alone, IsOk());
  const Ends ends = EndsOf(alone->candidates(0));
  job.spec.set_deadline_seconds((ends.mean + ends.upper) / 2);
  EXPECT_THAT(PlanJob(snapshot, job)->chosen_device_id(), IsEmpty());
  const absl::StatusOr<v1::PlanResponse> plan = PlanJobOrStartByMean(snapshot, job);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->chosen_device_id(), board.device.info().device_id());
  EXPECT_THAT(plan->reason(), HasSubstr(" after its deadline"));
  EXPECT_EQ(plan->choices(0).device_id(), plan->chosen_device_id());
  EXPECT_TRUE(PlanOnFirstDevice(snapshot, job)->feasible()) << "a submit takes the job";
  job.spec.set_deadline_seconds(ends.mean / 2);
  EXPECT_THAT(PlanJobOrStartByMean(snapshot, job)->chosen_device_id(), IsEmpty());
  EXPECT_THAT(PlanOnFirstDevice(snapshot, job)->reason(), HasSubstr("may end in "));
}

}  // namespace
}  // namespace wattle::scheduler
