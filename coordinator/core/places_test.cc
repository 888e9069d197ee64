// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of what the core does with plans over hours: boards that pause and return, attempts that
// leave their board for another job's deadline. Each test drives the shipped planner and core with
// reports, as boards would send them.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/fleet_timetable.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/boards_for_test.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "scheduler/place/device/device_load.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

v1::JobSpec InTheLeastTime() {
  v1::JobSpec spec = Finetune();
  spec.set_objective(v1::OBJECTIVE_TIME);
  return spec;
}

// The fast board needs 10 min for a job, the slow one 40 min. The fast one has 10 min of work left.
class PausedBoardTest : public testing::Test {
 protected:
  PausedBoardTest() {
    boards.Add("fast", 1);
    boards.Submit(1200);
    boards.Plan();
    boards.Run("j1.1");
    boards.Add("slow", 4);
    boards.Advance(absl::Minutes(10));
    boards.observations.progress[AttemptId("j1.1")].set_remaining_seconds(600);
  }
  absl::Duration FastIsBusyFor() {
    return boards.Snapshot().devices[0].free_at - boards.Now().wall;
  }

  Boards boards;
};

TEST_F(PausedBoardTest, AJobDoesNotWaitForABoardThatItsGuardPausesAllNight) {
  boards.Pause("j1.1", "temperature 91 °C");
  boards.Submit(600, InTheLeastTime());
  for (int hours = 0; hours < 13; hours += 4) {
    const PlanComputed plan = ComputePlan(boards.Snapshot());
    ASSERT_THAT(plan.jobs, SizeIs(1));
    EXPECT_EQ(plan.jobs[0].placement.device_id(), "slow") << hours << " h";
    boards.Advance(absl::Hours(4));
  }
}

TEST_F(PausedBoardTest, APauseIsExpectedToLastAsTheLongestOneSoFar) {
  boards.Pause("j1.1", "temperature 91 °C");
  EXPECT_GT(FastIsBusyFor(), absl::Hours(24));
  boards.Advance(absl::Minutes(5));
  boards.Start("j1.1");
  boards.Pause("j1.1", "temperature 91 °C");
  EXPECT_LT(FastIsBusyFor(), absl::Minutes(20));
  boards.Submit(600, InTheLeastTime());
  const PlanComputed plan = ComputePlan(boards.Snapshot());
  EXPECT_EQ(plan.jobs[0].placement.device_id(), "fast");
  EXPECT_THAT(plan.jobs[0].placement.reason(),
              HasSubstr("its attempt j1.1 is paused (temperature 91 °C), and by its longest pause "
                        "so far the plan expects 5 min 00 s more"));
  // Longer than ever: as long again, and no more than a day.
  boards.Advance(absl::Hours(2));
  EXPECT_GT(FastIsBusyFor(), absl::Hours(2));
  boards.Advance(absl::Hours(60));
  EXPECT_LT(FastIsBusyFor(), absl::Hours(25));
}

TEST_F(PausedBoardTest, AWindowOrABudgetTellsWhenAPauseEnds) {
  v1::Policy policy;
  policy.set_name("day");
  const absl::Time opens = absl::FromUnixSeconds(1'800'000'000) + absl::Hours(20);
  policy.add_work_windows(absl::FormatTime("%H:%M", opens, absl::UTCTimeZone()) + "-" +
                          absl::FormatTime("%H:%M", opens + absl::Hours(1), absl::UTCTimeZone()));
  boards.Do(ApplyPolicy{policy});
  boards.Pause("j1.1", "work may run later");
  const scheduler::DeviceView fast = boards.Snapshot().devices[0];
  EXPECT_GE(fast.free_at, opens + absl::Minutes(10));
  EXPECT_LT(fast.free_at, opens + absl::Minutes(20));
  EXPECT_THAT(fast.waits_for, AllOf(HasSubstr("its attempt j1.1 is paused until "),
                                    HasSubstr("UTC, when the window of policy day opens")));

  policy.clear_work_windows();
  policy.set_daily_energy_budget_wh(1);
  boards.Do(ApplyPolicy{policy});
  v1::Heartbeat& heartbeat = boards.observations.devices[DeviceId("fast")].heartbeat;
  heartbeat.set_has_budget_day(true);
  heartbeat.set_budget_day_energy_joules(3600);
  EXPECT_THAT(boards.Snapshot().devices[0].waits_for,
              HasSubstr("until 00:00 UTC, when the day of policy day ends"));
}

// j1 has 10 minutes left, and the window closes in five.
TEST_F(PausedBoardTest, ARunningAttemptEndsBehindTheWindowThatCloses) {
  v1::Policy policy;
  policy.set_name("day");
  const auto at = [&](absl::Duration in) {
    return absl::FormatTime("%H:%M", boards.Now().wall + in, absl::UTCTimeZone());
  };
  policy.add_work_windows(at(-absl::Hours(2)) + "-" + at(absl::Minutes(5)));
  boards.Do(ApplyPolicy{policy});
  const scheduler::Snapshot snapshot = boards.Snapshot();
  EXPECT_GT(scheduler::InitialLoads(snapshot)[0].free_at - snapshot.now, absl::Hours(21));
}

TEST_F(PausedBoardTest, ARunningAttemptIsNoPause) {
  EXPECT_LT(FastIsBusyFor(), absl::Minutes(11));
  EXPECT_EQ(boards.Snapshot().devices[0].waits_for, "");
}

v1::JobSpec Urgent(absl::Duration deadline, int priority = 100) {
  v1::JobSpec spec = Finetune();
  spec.set_deadline_seconds(absl::ToDoubleSeconds(deadline));
  spec.set_priority(priority);
  return spec;
}

// One board that has run a job of 20 h for an hour.
class ReleaseTest : public testing::Test {
 protected:
  ReleaseTest() {
    boards.Add("orin", 1);
    boards.RunAnHourOfTwenty();
  }
  // Whether a plan asked the board for the attempt.
  bool IsReleased(const std::string& attempt) { return boards.Attempt(attempt).released(); }

  Boards boards;
};

// Other boards of its supply may leave a free board too few watts.
TEST(WhyNotNowTest, ADeviceThatRunsNothingIsNotBusy) {
  Boards boards;
  boards.Add("orin", 1);
  scheduler::QueuePlacement planned;
  planned.placement.set_device_id("orin");
  planned.placement.set_wait(true);
  EXPECT_EQ(WhyNotNow(boards.state, planned), "waits for orin, which the plan keeps for it");
  boards.Submit(600);
  boards.Plan();
  boards.Run("j1.1");
  EXPECT_EQ(WhyNotNow(boards.state, planned), "waits for orin, the better device, which is busy");
}

// Such a plan moves no attempt itself.
TEST_F(ReleaseTest, APlanOfOneJobSaysThatAnAttemptMayLeaveForIt) {
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  request.mutable_spec()->mutable_finetune()->clear_epochs();
  request.mutable_spec()->mutable_finetune()->set_steps(1800);
  request.mutable_spec()->set_deadline_seconds(3 * 3600);
  boards.Snapshot();  // The board has just sent a heartbeat.
  const auto reason = [&] {
    const auto plan = DryRun(boards.state, boards.observations, {}, request, boards.Now());
    return plan.ok() && plan->chosen_device_id().empty() ? plan->reason() : "";
  };
  constexpr char kMayLeave[] = "a running attempt may leave its device for the deadline";
  EXPECT_THAT(reason(), HasSubstr(kMayLeave));
  request.mutable_spec()->set_priority(-1);
  EXPECT_THAT(reason(), testing::AllOf(HasSubstr("deadline"), testing::Not(HasSubstr(kMayLeave))));
}

TEST_F(ReleaseTest, AnAttemptLeavesForADeadlineAndItsJobGoesOnBehindIt) {
  boards.Submit(1800, Urgent(absl::Hours(3)));
  boards.Plan();
  ASSERT_TRUE(IsReleased("j1.1"));
  EXPECT_EQ(boards.Attempt("j1.1").reason(), "left orin to j2, whose deadline was 3 h 00 min away");
  EXPECT_EQ(boards.Attempt("j1.1").released_for_job_id(), "j2");
  EXPECT_EQ(DesiredFor(boards.state, DeviceId("orin")).releases_size(), 1);
  // The board is free as soon as it has handed over, and nothing is asked twice.
  EXPECT_LT(boards.Snapshot().devices[0].free_at - boards.Now().wall, absl::Minutes(10));
  const SequenceNumber before = boards.state.last_sequence;
  boards.Plan();
  EXPECT_EQ(boards.state.last_sequence, before);

  boards.HandOver("j1.1", 3600);
  boards.Plan();
  EXPECT_EQ(boards.Job("j1").state(), v1::JOB_STATE_QUEUED);
  EXPECT_THAT(boards.Attempt("j2.1").released_attempt_ids(), testing::ElementsAre("j1.1"));
  boards.Run("j2.1");
  boards.Advance(absl::Minutes(30));
  boards.Finish("j2.1");
  boards.Plan();
  EXPECT_EQ(boards.Job("j2").state(), v1::JOB_STATE_SUCCEEDED);
  const v1::Attempt& rest = boards.Attempt("j1.2");
  EXPECT_NEAR(rest.prediction().run_seconds().mean(), 19 * 3600, 600);
  EXPECT_THAT(rest.released_attempt_ids(), SizeIs(0));
  EXPECT_EQ(DesiredFor(boards.state, DeviceId("orin")).assignments(0).checkpoint_step(), 3600);
}

// j2 waits on the board itself, in time behind the attempt, until that one turns out to be slow.
TEST_F(ReleaseTest, AnAttemptLeavesForADeadlineThatWaitsOnTheSameBoard) {
  boards.observations.devices[DeviceId("orin")].takes_queued = true;
  boards.Submit(1800, Urgent(absl::Hours(21), 0));
  boards.Submit(600);
  boards.Plan();
  ASSERT_EQ(boards.Attempt("j2.1").after_attempt_id(), "j1.1");
  ASSERT_EQ(boards.Attempt("j3.1").after_attempt_id(), "j2.1");
  boards.observations.progress[AttemptId("j1.1")].set_remaining_seconds(30 * 3600);
  boards.Plan();
  EXPECT_TRUE(IsReleased("j1.1"));
  EXPECT_EQ(boards.Attempt("j1.1").released_for_job_id(), "j2");
  EXPECT_FALSE(IsReleased("j2.1"));
  EXPECT_TRUE(IsReleased("j3.1"));
  const SequenceNumber before = boards.state.last_sequence;
  boards.Plan();
  EXPECT_EQ(boards.state.last_sequence, before) << "nothing is asked twice";
  boards.GiveBack("j3.1");
  boards.HandOver("j1.1", 3600);
  boards.Run("j2.1");
  boards.Plan();
  EXPECT_EQ(boards.Attempt("j2.1").state(), v1::ATTEMPT_STATE_RUNNING);
  EXPECT_EQ(RunningOn(boards.state, DeviceId("orin"))->attempt_id(), "j2.1");
  EXPECT_EQ(boards.Job("j1").state(), v1::JOB_STATE_ACTIVE);  // The job waits behind j2 now.
}

// An attempt leaves in the same way for a job that waits on another board.
TEST_F(ReleaseTest, AnAttemptLeavesForADeadlineThatWaitsOnAnotherBoard) {
  boards.Add("busy", 1);
  boards.observations.devices[DeviceId("busy")].takes_queued = true;
  v1::JobSpec spec = Finetune();
  spec.set_priority(100);
  boards.Submit(3600, spec);
  boards.Plan();
  ASSERT_EQ(boards.Attempt("j2.1").device_id(), "busy");
  boards.Run("j2.1");
  boards.Submit(1800, Urgent(absl::Hours(3), 0));
  boards.Plan();
  ASSERT_EQ(boards.Attempt("j3.1").after_attempt_id(), "j2.1");
  boards.observations.progress[AttemptId("j2.1")].set_remaining_seconds(10 * 3600);
  boards.Plan();
  EXPECT_TRUE(IsReleased("j1.1"));
  EXPECT_TRUE(IsReleased("j3.1"));
  EXPECT_FALSE(IsReleased("j2.1"));
  boards.GiveBack("j3.1");
  boards.HandOver("j1.1", 3600);
  boards.Plan();
  EXPECT_EQ(boards.Attempt("j3.2").device_id(), "orin");
}

TEST_F(ReleaseTest, AJobIsTakenFromItsBoardOnceAnHour) {
  boards.Submit(600, Urgent(absl::Hours(2)));
  boards.Plan();
  boards.HandOver("j1.1", 3600);
  boards.Plan();
  boards.Run("j2.1");
  boards.Advance(absl::Minutes(10));
  boards.Finish("j2.1");
  boards.Plan();
  boards.Run("j1.2");
  boards.Submit(600, Urgent(absl::Hours(2)));
  boards.Plan();
  EXPECT_FALSE(IsReleased("j1.2"));
  boards.Advance(absl::Minutes(51));
  boards.Plan();
  EXPECT_TRUE(IsReleased("j1.2"));
}

TEST_F(ReleaseTest, ADeadlineOfTheSamePriorityCountsAndALowerOneDoesNot) {
  boards.Submit(1800, Urgent(absl::Hours(3), -1));
  boards.Plan();
  EXPECT_FALSE(IsReleased("j1.1"));
  boards.Submit(1800, Urgent(absl::Hours(3), 0));
  boards.Plan();
  ASSERT_TRUE(IsReleased("j1.1"));
  // The older job is back in the queue, and the deadline still goes first.
  boards.HandOver("j1.1", 3600);
  boards.Plan();
  EXPECT_EQ(boards.Attempt("j3.1").device_id(), "orin");
}

TEST_F(ReleaseTest, AnAttemptStaysThatItsBoardCannotHandOver) {
  boards.Submit(1800, Urgent(absl::Hours(3)));
  const PlanComputed plan = ComputePlan(boards.Snapshot());
  ASSERT_EQ(plan.jobs[0].releases.value(), "j1.1");
  // Between the plan and its decision.
  boards.Pause("j1.1", "temperature 91 °C");
  boards.Do(plan);
  EXPECT_FALSE(IsReleased("j1.1"));
  boards.Start("j1.1");
  boards.observations.devices[DeviceId("orin")].connected = false;
  EXPECT_EQ(ComputePlan(boards.Snapshot()).jobs[0].releases.value(), "");
}

TEST_F(ReleaseTest, AJobWithoutDeadlineWaitsAndIsToldItsPlace) {
  boards.Submit(3600);
  boards.Submit(3600);
  const PlanComputed plan = boards.Plan();
  EXPECT_FALSE(IsReleased("j1.1"));
  boards.observations.waiting =
      std::make_shared<std::map<JobId, WaitingJob>>(WaitingJobsOf(boards.state, plan));
  const auto place = [&](const char* job) {
    return DescribeJob(boards.state, boards.observations, JobId(job), boards.Now()).place();
  };
  const double now = ToUnix(boards.Now().wall);
  EXPECT_NEAR(place("j2").expected_start_unix_seconds() - now, 19 * 3600, 600);
  EXPECT_EQ(place("j2").behind_job_id(), "");
  EXPECT_GE(place("j3").expected_start_unix_seconds(), place("j2").expected_end_unix_seconds());
  EXPECT_EQ(place("j3").behind_job_id(), "j2");
  EXPECT_EQ(place("j1").expected_start_unix_seconds(), 0);
  // The next plan starts from the places of this one.
  for (const scheduler::JobView& job : boards.Snapshot().queue) {
    ASSERT_TRUE(job.last_place.has_value()) << job.id.value();
    EXPECT_EQ(job.last_place->device.value(), "orin");
    EXPECT_EQ(ToUnix(job.last_place->start),
              place(job.id.value().c_str()).expected_start_unix_seconds());
  }
}

// For a waiting job people see the reason for its plan, the runner-up, and the spans.
TEST_F(ReleaseTest, AWaitingJobIsToldItsRunnerUpAndItsSpans) {
  boards.Add("slow", 60);
  boards.Submit(3600);
  const PlanComputed plan = boards.Plan();
  boards.observations.waiting =
      std::make_shared<std::map<JobId, WaitingJob>>(WaitingJobsOf(boards.state, plan));
  const v1::Placement place =
      DescribeJob(boards.state, boards.observations, JobId("j2"), boards.Now()).place();
  ASSERT_EQ(place.device_id(), "orin");
  EXPECT_THAT(place.reason(), HasSubstr("against slow"));
  ASSERT_EQ(place.best_size(), 2);
  EXPECT_EQ(place.best(1).device_name(), "slow");
  EXPECT_TRUE(place.best(1).feasible());
  EXPECT_GT(place.best(1).marginal_energy_joules(), place.best(0).marginal_energy_joules());
  EXPECT_FALSE(place.best(1).has_prediction()) << "each waiting job keeps this";
  EXPECT_LT(place.start_low_unix_seconds(), place.expected_start_unix_seconds());
  EXPECT_GT(place.start_high_unix_seconds(), place.expected_start_unix_seconds());
  EXPECT_LT(place.end_low_unix_seconds(), place.expected_end_unix_seconds());
  EXPECT_GT(place.end_high_unix_seconds(), place.expected_end_unix_seconds());
}

// j1 ran 600 of 1200 steps on the one board, whose checkpoint is here, and drew 900 J.
class RestOfJobTest : public testing::Test {
 protected:
  RestOfJobTest() {
    boards.Add("fast", 1);
    v1::JobSpec spec = Finetune();
    spec.set_deadline_seconds(3000);
    spec.set_energy_budget_wh(5);
    boards.Submit(1200, spec);
    boards.Plan();
    boards.Run("j1.1");
    boards.Advance(absl::Seconds(600));
    boards.state.jobs.Mutable(1).mutable_checkpoint()->set_step(600);
    boards.observations.progress[AttemptId("j1.1")].set_energy_joules(900);
    boards.Snapshot();  // The board has just sent a heartbeat.
  }
  absl::StatusOr<v1::PlanResponse> Plan(const std::string& job) {
    v1::PlanRequest request;
    request.set_job_id(job);
    return DryRun(boards.state, boards.observations, {}, request, boards.Now());
  }

  Boards boards;
};

TEST_F(RestOfJobTest, CountsTheCheckpointTheWaitAndTheSpentJoules) {
  auto plan = Plan("j1");
  ASSERT_THAT(plan, IsOk());
  ASSERT_THAT(plan->candidates(), SizeIs(1));
  // Its own board is free for it: the attempt is taken to leave.
  EXPECT_EQ(plan->chosen_device_id(), "fast");
  EXPECT_FALSE(plan->wait());
  EXPECT_NEAR(plan->candidates(0).prediction().run_seconds().mean(), 600, 1);
  // 5 Wh are 18 kJ; 600 steps at 10 W draw 6 kJ.
  boards.observations.progress[AttemptId("j1.1")].set_energy_joules(15'000);
  plan = Plan("j1");
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->candidates(0).refused_by(), "energy_budget");
  EXPECT_THAT(plan->candidates(0).reason(), HasSubstr("more, after 4.17 Wh"));
  // The deadline is 3000 s after submission.
  boards.observations.progress[AttemptId("j1.1")].set_energy_joules(900);
  boards.Advance(absl::Seconds(2000));
  boards.Snapshot();
  plan = Plan("j1");
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->candidates(0).refused_by(), "deadline");
}

TEST_F(RestOfJobTest, RefusesAJobThatIsNotOpen) {
  EXPECT_THAT(Plan("j7"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("no job j7 is open")));
  boards.Finish("j1.1");
  EXPECT_THAT(Plan("j1"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("j1 has ended")));
  v1::PlanRequest both;
  both.set_job_id("j1");
  *both.mutable_spec() = Finetune();
  EXPECT_THAT(DryRun(boards.state, boards.observations, {}, both, boards.Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("contradicts spec")));
}

TEST_F(PausedBoardTest, TheTimetableSaysWhyAPausedJobStandsInItTwice) {
  v1::Policy policy;
  policy.set_name("patience");
  policy.set_pause_seconds_max(3600);
  boards.Do(ApplyPolicy{policy});
  boards.Pause("j1.1", "temperature 91 °C");
  boards.Advance(absl::Hours(2));
  (void)boards.Snapshot();  // All boards have sent heartbeats.
  const auto timetable =
      FleetTimetable(boards.state, boards.observations, {}, v1::TimetableRequest(), boards.Now());
  ASSERT_THAT(timetable, IsOk());
  ASSERT_THAT(timetable->devices(), SizeIs(2));
  ASSERT_THAT(timetable->devices(0).entries(), SizeIs(1));
  EXPECT_EQ(timetable->devices(0).entries(0).attempt_id(), "j1.1");
  ASSERT_THAT(timetable->devices(1).entries(), SizeIs(1));
  EXPECT_EQ(timetable->devices(1).entries(0).job_id(), "j1");
  EXPECT_THAT(timetable->devices(1).entries(0).waits_for(),
              StartsWith("moves from fast, unless its attempt there goes on first"));
}

// 54 Wh of work on a pack of 50 Wh: the sun that the board reports makes the difference, at submit
// and in the plan.
TEST(FilesOfAttemptsTest, APlanKnowsWhatAnAttemptBringsAndForHowLongItFetches) {
  Boards boards;
  boards.Add("orin", 1);
  v1::ArtifactInfo large = TinyModel();
  large.set_artifact_id("aabbccdd33");
  large.set_name("large");
  large.set_size_bytes(500'000'000);  // 50 s at the board's 10 MB/s.
  boards.Do(CommitArtifact{large});
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_model("large");
  boards.Submit(600, spec);
  EXPECT_EQ(boards.Snapshot().devices[0].fetches_for, absl::ZeroDuration());
  boards.Plan();
  const auto fetches_for = [&boards] {
    return absl::ToDoubleSeconds(boards.Snapshot().devices[0].fetches_for);
  };
  EXPECT_NEAR(fetches_for(), 50, 1);
  EXPECT_THAT(boards.Snapshot().devices[0].coming_artifact_ids,
              testing::UnorderedElementsAre("aabbccdd33", "aabbccdd22"));
  boards.Accept("j1.1");
  boards.Advance(absl::Seconds(10));
  EXPECT_NEAR(fetches_for(), 40, 1);
  boards.Advance(absl::Minutes(10));
  EXPECT_NEAR(fetches_for(), 30, 1) << "it goes on, for nobody knows how long";
  boards.Start("j1.1");
  EXPECT_EQ(fetches_for(), 0);
  EXPECT_THAT(boards.Snapshot().devices[0].coming_artifact_ids, SizeIs(2));
}

}  // namespace
}  // namespace wattle::core
