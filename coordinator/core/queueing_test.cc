// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of attempts that wait on a device behind its running one. Each test drives the shipped
// planner and core with reports, as boards would send them.
#include "coordinator/core/queueing.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/dry_run.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/testing/boards_for_test.h"
#include "policy/fields.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

// A board that runs j1.1 for another 10 min and can hold waiting attempts, and its jobs.
class QueueTest : public testing::Test {
 protected:
  QueueTest() {
    AddBoard("fast", 1);
    boards.Submit(1200);
    boards.Plan();
    boards.Run("j1.1");
  }
  void AddBoard(const std::string& name, double step_seconds) {
    boards.Add(name, step_seconds);
    boards.observations.devices[DeviceId(name)].takes_queued = true;
  }
  void ApplyDepth(const std::string& name, int depth) {
    v1::Policy policy;
    policy.set_name(name);
    policy.set_device_queue_depth(depth);
    boards.Do(ApplyPolicy{policy});
  }
  std::vector<std::string> Desired(const std::string& board = "fast") {
    std::vector<std::string> ids;
    const v1::DesiredSet desired = DesiredFor(boards.state, DeviceId(board));
    for (const v1::Assignment& assignment : desired.assignments()) {
      ids.push_back(assignment.attempt_id() + " after \"" + assignment.after_attempt_id() + "\"");
    }
    return ids;
  }
  v1::JobState StateOf(const std::string& job) { return boards.Job(job).state(); }
  std::string ReasonOf(const std::string& job) {
    return DescribeJob(boards.state, boards.observations, JobId(job), boards.Now()).reason();
  }
  v1::Device Describe(const std::string& board = "fast") {
    return DescribeDevice(boards.state, boards.observations, DeviceId(board), boards.Now());
  }

  Boards boards;
};

TEST_F(QueueTest, TwoJobsGoToABusyBoardEachWithItsToken) {
  for (int job = 2; job <= 4; ++job) {
    boards.Submit(600);
  }
  boards.Plan();
  boards.Plan();
  EXPECT_THAT(Desired(),
              ElementsAre("j1.1 after \"\"", "j2.1 after \"j1.1\"", "j3.1 after \"j2.1\""));
  EXPECT_LT(boards.Attempt("j1.1").fencing_token(), boards.Attempt("j2.1").fencing_token());
  EXPECT_LT(boards.Attempt("j2.1").fencing_token(), boards.Attempt("j3.1").fencing_token());
  EXPECT_EQ(StateOf("j4"), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Describe().running_attempt_id(), "j1.1");
  EXPECT_THAT(Describe().queued_attempt_ids(), ElementsAre("j2.1", "j3.1"));
  EXPECT_THAT(ReasonOf("j2"), HasSubstr("on its way, to wait on fast behind j1.1"));
  boards.Accept("j2.1");
  EXPECT_THAT(ReasonOf("j2"), HasSubstr("accepted, waits on fast behind j1.1"));
  EXPECT_EQ(boards.Attempt("j2.1").reason(), "accepted, waits behind j1.1");
}

TEST_F(QueueTest, WhenOneEndsTheNextRunsAndAnotherOneComes) {
  for (int job = 2; job <= 4; ++job) {
    boards.Submit(600);
  }
  boards.Plan();
  boards.Accept("j2.1");
  boards.Start("j2.1");  // The board began the next one and reports the first one's end later.
  EXPECT_EQ(Describe().running_attempt_id(), "j2.1");
  boards.Finish("j1.1");
  boards.Plan();
  EXPECT_THAT(Desired(),
              ElementsAre("j2.1 after \"\"", "j3.1 after \"j2.1\"", "j4.1 after \"j3.1\""));
  boards.Accept("j3.1");
  boards.Finish("j2.1");
  EXPECT_EQ(Describe().running_attempt_id(), "j3.1");
  EXPECT_EQ(StateOf("j2"), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(QueueTest, AnOldWorkerGetsOneAttemptAtATime) {
  boards.observations.devices[DeviceId("fast")].takes_queued = false;
  boards.Submit(600);
  boards.Plan();
  EXPECT_THAT(Desired(), ElementsAre("j1.1 after \"\""));
  EXPECT_EQ(StateOf("j2"), v1::JOB_STATE_QUEUED);
}

TEST_F(QueueTest, TheSmallestDepthOfThePoliciesCounts) {
  ApplyDepth("deep", 4);
  ApplyDepth("shallow", 1);
  for (int job = 2; job <= 7; ++job) {
    boards.Submit(60);
  }
  boards.Plan();
  EXPECT_THAT(Describe().queued_attempt_ids(), ElementsAre("j2.1"));
  boards.Do(DeletePolicy{"shallow"});
  boards.Plan();
  EXPECT_THAT(Describe().queued_attempt_ids(), ElementsAre("j2.1", "j3.1", "j4.1", "j5.1"));
  // Fewer are allowed: the last ones return.
  ApplyDepth("shallow", 3);
  boards.Plan();
  EXPECT_TRUE(boards.Attempt("j5.1").released());
  EXPECT_FALSE(boards.Attempt("j4.1").released());
}

TEST_F(QueueTest, AWaitingAttemptLeavesForABetterBoardOnceItsOwnGivesItBack) {
  boards.Submit(600);
  boards.Plan();
  boards.Accept("j2.1");
  AddBoard("faster", 0.2);
  boards.Plan();
  EXPECT_TRUE(boards.Attempt("j2.1").released());
  EXPECT_EQ(DesiredFor(boards.state, DeviceId("fast")).releases_size(), 1);
  boards.Plan();
  EXPECT_THAT(Desired("faster"), IsEmpty()) << "its own board may have begun it";
  boards.GiveBack("j2.1");
  boards.Plan();
  EXPECT_THAT(Desired("faster"), ElementsAre("j2.2 after \"\""));
  EXPECT_GT(boards.Attempt("j2.2").fencing_token(), boards.Attempt("j2.1").fencing_token());
  EXPECT_EQ(boards.Job("j2").attempts_size(), 2);
}

// The order to give it back crossed the report of its beginning.
TEST_F(QueueTest, AnAttemptThatHasBegunHandsItsCheckpointOver) {
  boards.Submit(600);
  boards.Plan();
  boards.Accept("j2.1");
  AddBoard("faster", 0.2);
  boards.Plan();
  boards.Start("j2.1");
  boards.Finish("j1.1");
  boards.Plan();
  EXPECT_THAT(Desired("faster"), IsEmpty());
  boards.HandOver("j2.1", 40);
  boards.Plan();
  EXPECT_THAT(Desired("faster"), ElementsAre("j2.2 after \"\""));
  EXPECT_EQ(DesiredFor(boards.state, DeviceId("faster")).assignments(0).checkpoint_step(), 40);
}

TEST_F(QueueTest, ALateBeginningOfACancelledJobIsRefused) {
  boards.Submit(600);
  boards.Plan();
  boards.Accept("j2.1");
  boards.Do(CancelJob{JobId("j2"), "no need"});
  EXPECT_THAT(Desired(), ElementsAre("j1.1 after \"\""));
  boards.Start("j2.1");
  EXPECT_EQ(boards.Attempt("j2.1").state(), v1::ATTEMPT_STATE_SUPERSEDED);
  EXPECT_EQ(Describe().running_attempt_id(), "j1.1");
}

TEST_F(QueueTest, ADrainedBoardGivesAllBack) {
  boards.Submit(600);
  boards.Submit(600);
  boards.Plan();
  boards.Accept("j2.1");
  boards.Do(DrainDevice{DeviceId("fast"), "maintenance"});
  EXPECT_EQ(StateOf("j3"), v1::JOB_STATE_QUEUED) << "not accepted yet";
  EXPECT_EQ(DesiredFor(boards.state, DeviceId("fast")).releases_size(), 2);
  boards.GiveBack("j2.1");
  EXPECT_EQ(StateOf("j2"), v1::JOB_STATE_QUEUED);
}

TEST_F(QueueTest, AJobThatStillWaitsAtItsDeadlineFails) {
  v1::JobSpec spec = Finetune();
  spec.set_deadline_seconds(7200);
  boards.Submit(600, spec);
  boards.Plan();
  boards.Accept("j2.1");
  boards.Advance(absl::Seconds(7201));
  boards.Snapshot();  // The board has just sent a heartbeat.
  boards.Do(Tick{});
  EXPECT_EQ(StateOf("j2"), v1::JOB_STATE_FAILED);
  EXPECT_THAT(boards.Job("j2").reason(), HasSubstr("while it waited on fast behind j1.1"));
}

TEST_F(QueueTest, AJobWithADeadlineGoesBeforeOneThatWaitsAlready) {
  boards.Submit(3600);
  boards.Plan();
  boards.Accept("j2.1");
  v1::JobSpec urgent = Finetune();
  urgent.set_deadline_seconds(3600);
  boards.Submit(300, urgent);
  boards.Plan();
  EXPECT_TRUE(boards.Attempt("j2.1").released());
  EXPECT_EQ(StateOf("j3"), v1::JOB_STATE_ACTIVE);
  boards.GiveBack("j2.1");
  boards.Plan();
  EXPECT_THAT(Describe().queued_attempt_ids(), ElementsAre("j3.1", "j2.2"));
}

TEST_F(QueueTest, TheFilesOfAllAttemptsMustFit) {
  boards.Submit(600);
  boards.observations.devices[DeviceId("fast")].heartbeat.set_disk_free_bytes(1);
  v1::ArtifactInfo large = TinyModel();
  large.set_artifact_id("aabbccdd33");
  large.set_name("large");
  large.set_size_bytes(1000);
  boards.Do(CommitArtifact{large});
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_model("large");
  boards.Submit(600, spec);
  boards.Plan();
  EXPECT_EQ(StateOf("j2"), v1::JOB_STATE_ACTIVE);
  EXPECT_EQ(StateOf("j3"), v1::JOB_STATE_QUEUED) << "1000 B do not fit into 1 B";
  boards.observations.devices[DeviceId("fast")].heartbeat.set_disk_free_bytes(1000);
  boards.Plan();
  EXPECT_EQ(StateOf("j3"), v1::JOB_STATE_ACTIVE);
}

TEST_F(QueueTest, ASilentBoardKeepsWhatWaitsThereUntilItsLeaseEnds) {
  AddBoard("slow", 4);
  boards.Submit(60);
  boards.Plan();
  ASSERT_THAT(Describe().queued_attempt_ids(), ElementsAre("j2.1"));
  EXPECT_GT(LeaseSecondsOf(boards.Attempt("j2.1")), LeaseSecondsOf(boards.Attempt("j1.1")))
      << "the one before it comes first";
  const double lease = LeaseSecondsOf(boards.Attempt("j2.1"));
  boards.observations.devices[DeviceId("fast")].connected = false;
  const Instant heard = boards.Now();
  const auto silent_for = [&](double seconds) {
    boards.Advance(absl::Seconds(seconds));
    boards.observations.devices[DeviceId("fast")].last_seen = heard;
    boards.observations.devices[DeviceId("slow")].last_seen = boards.Now();
    boards.Do(ComputePlan(MakeSnapshot(boards.state, boards.observations, {}, boards.Now())));
  };
  silent_for(lease - 60);
  EXPECT_FALSE(IsTerminal(boards.Attempt("j2.1").state()));
  silent_for(120);
  EXPECT_THAT(Desired("slow"), ElementsAre("j1.2 after \"\""));
  boards.Run("j1.2");
  boards.Finish("j1.2");
  silent_for(1);
  EXPECT_EQ(boards.Attempt("j2.1").state(), v1::ATTEMPT_STATE_SUPERSEDED);
  EXPECT_THAT(Desired("slow"), ElementsAre("j2.2 after \"\""));
}

// A board that is busy for `free_in`, and places there, in hours.
struct PlaceOnBoard {
  double start;
  double finish;
  bool here = false;  // The job already waits on the board.
};
std::vector<scheduler::QueuePlacement> Choose(absl::Duration free_in,
                                              const std::vector<PlaceOnBoard>& places) {
  scheduler::Snapshot snapshot;
  snapshot.now = absl::FromUnixSeconds(1'800'000'000);
  scheduler::DeviceView& board = snapshot.devices.emplace_back();
  board.device.mutable_info()->set_device_id("mast");
  board.queue_room = 2;
  std::vector<scheduler::QueuePlacement> jobs;
  for (const PlaceOnBoard& place : places) {
    scheduler::JobView& job = snapshot.queue.emplace_back();
    job.id = JobId(absl::StrCat("j", snapshot.queue.size()));
    if (place.here) {
      job.queued_on = DeviceId("mast");
    }
    scheduler::QueuePlacement& planned = jobs.emplace_back();
    planned.job = job.id;
    if (std::isfinite(place.start)) {
      planned.placement.set_device_id("mast");
      planned.placement.set_wait(true);
      v1::Candidate& best = *planned.placement.add_best();
      best.set_start_in_seconds(3600 * place.start);
      best.set_finish_in_seconds(3600 * place.finish);
    }
  }
  ChooseQueued(snapshot, {snapshot.now + free_in}, jobs);
  return jobs;
}
constexpr double kNoPlace = std::numeric_limits<double>::infinity();
auto GoesThere() {
  return AllOf(Field(&scheduler::QueuePlacement::queue, true),
               Field(&scheduler::QueuePlacement::withdraw, false));
}
auto Stays() {  // With the coordinator, or on the board.
  return AllOf(Field(&scheduler::QueuePlacement::queue, false),
               Field(&scheduler::QueuePlacement::withdraw, false));
}
auto ComesBack() {
  return AllOf(Field(&scheduler::QueuePlacement::queue, false),
               Field(&scheduler::QueuePlacement::withdraw, true));
}

TEST(ChooseQueuedTest, AJobThatThePlanStartsInItsTurnGoesToTheBoard) {
  EXPECT_THAT(Choose(absl::Hours(1), {{1, 3}, {3.2, 5}}), ElementsAre(GoesThere(), GoesThere()));
  EXPECT_THAT(Choose(absl::Hours(1), {{1, 3, true}, {3, 5}}), ElementsAre(Stays(), GoesThere()));
}

TEST(ChooseQueuedTest, AJobThatWaitsForChargeIsKeptBackWhenItsTurnComesSoon) {
  EXPECT_THAT(Choose(absl::Hours(1), {{9, 12}, {12, 14}}), ElementsAre(Stays(), Stays()));
  EXPECT_THAT(Choose(absl::Hours(1), {{9, 12, true}, {12, 14, true}}),
              ElementsAre(ComesBack(), ComesBack()));
  EXPECT_THAT(Choose(absl::Hours(1), {{kNoPlace, kNoPlace, true}}), ElementsAre(ComesBack()));
  EXPECT_THAT(Choose(-absl::Hours(1), {{0.5, 3, true}}), ElementsAre(ComesBack()));
}

TEST(ChooseQueuedTest, ABoardHoldsWorkForTheTimeInWhichNobodyMayHearOfIt) {
  EXPECT_THAT(Choose(absl::Hours(5), {{9, 12}, {12, 14}}), ElementsAre(GoesThere(), GoesThere()));
  EXPECT_THAT(Choose(absl::Hours(5), {{9, 12, true}, {kNoPlace, kNoPlace, true}}),
              ElementsAre(Stays(), Stays()));
  // The second one's turn is late enough, after the first.
  EXPECT_THAT(Choose(absl::Hours(1), {{1, 8, true}, {15, 18, true}}),
              ElementsAre(Stays(), Stays()));
}

TEST_F(QueueTest, TheDepthIsCheckedAndTold) {
  v1::Policy policy;
  policy.set_name("p");
  for (const int depth : {-1, 0, 17}) {
    policy.set_device_queue_depth(depth);
    EXPECT_THAT(
        std::string(ValidatePolicy(policy).message()),
        HasSubstr("policy.device_queue_depth: " + std::to_string(depth) + ": want 1 to 16"));
  }
  for (const int depth : {1, 16}) {
    policy.set_device_queue_depth(depth);
    EXPECT_THAT(ValidatePolicy(policy), IsOk());
  }
}

// Without contact.
class AloneTest : public QueueTest {
 protected:
  double LeaseOf(const std::string& attempt) { return boards.Attempt(attempt).lease_seconds(); }
};

TEST_F(AloneTest, TheOnlyBoardWorksToTheEnd) {
  EXPECT_GT(LeaseOf("j1.1"), 366 * 24 * 3600.0);
  EXPECT_THAT(boards.Attempt("j1.1").placement().reason(),
              HasSubstr("without contact it works to its end, because no other device"));
  EXPECT_LT(LeaseSecondsOf(boards.Attempt("j1.1")), 24 * 3600.0) << "for a board that joins";
}

TEST_F(AloneTest, OfSeveralBoardsEachHasItsLease) {
  AddBoard("slow", 4);
  boards.Submit(600);
  boards.Plan();
  EXPECT_LT(LeaseOf("j2.1"), 24 * 3600.0);
}

TEST_F(AloneTest, JobAndPolicySayForHowLong) {
  v1::JobSpec spec = Finetune();
  spec.set_lease_seconds(123);
  boards.Submit(600, spec);
  v1::Policy policy;
  policy.set_name("p");
  policy.set_offline_seconds(86400);
  boards.Do(ApplyPolicy{policy});
  boards.Submit(600);
  boards.Plan();
  EXPECT_EQ(LeaseOf("j2.1"), 123);
  EXPECT_EQ(LeaseOf("j3.1"), 86400);
}

TEST_F(AloneTest, ThePlanSaysForHowLong) {
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  const auto reason = [&] {
    return DryRun(boards.state, boards.observations, {}, request, boards.Now())->reason();
  };
  EXPECT_THAT(reason(), HasSubstr("without contact it works to its end"));
  AddBoard("slow", 4);
  boards.Snapshot();
  EXPECT_THAT(reason(), HasSubstr("without contact it works for "));
}

}  // namespace
}  // namespace wattle::core
