// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A coordinator that was restored from a backup meets a device that worked on after it.
#include "coordinator/core/lineage.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"

namespace wattle::core {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kOutput[] = "0123456789abcdef";

class LineageTest : public testing::Test {
 protected:
  LineageTest() {
    OpenJournal open;
    open.lineage_id = "farm";
    open.opening_id = "first";
    Do(open);
    v1::ArtifactInfo model;
    model.set_artifact_id(std::string(64, 'a'));
    model.set_name("tiny");
    model.set_kind(v1::ARTIFACT_KIND_MODEL);
    model.mutable_model_shape()->set_architecture("gpt2");
    Do(CommitArtifact{model});
    Do(WorkerHello{HelloOf("first", 0)});
    v1::JobSpec spec;
    spec.mutable_quantize()->set_model("tiny");
    spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_INT8);
    EXPECT_THAT(Do(SubmitJob{spec, "key"}).status, IsOk());
  }

  [[nodiscard]] Observations Seen() const {
    Observations observations;
    observations.started = {kStart, Monotonic()};
    DeviceObservation& device = observations.devices[DeviceId("d1")];
    device.connected = true;
    device.last_seen = Now();
    device.results_to_come = results_to_come_;
    return observations;
  }
  Decision Do(const Command& command) {
    Decision decision = Decide(state_, command, Seen(), Now());
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, Now().monotonic);
    }
    return decision;
  }
  [[nodiscard]] Instant Now() const { return {now_, Monotonic(now_ - kStart)}; }

  v1::Hello HelloOf(const std::string& opening, int64_t epoch) {
    v1::Hello hello;
    hello.mutable_device()->set_device_id("d1");
    hello.mutable_device()->set_name("board");
    hello.mutable_device()->set_device_class("raspberry-pi-5");
    hello.set_incarnation(7 + epoch);
    hello.set_lineage_id("farm");
    hello.set_opening_id(opening);
    hello.set_epoch(epoch);
    return hello;
  }
  void Place(const std::string& job) {
    scheduler::QueuePlacement planned;
    planned.job = JobId(job);
    planned.placement.set_device_id("d1");
    Do(PlanComputed{state_.last_sequence, {planned}});
  }
  // The backup is opened in place of the journal, and the device learns this.
  void Restore(const std::string& backup) {
    state_ = *ParseSnapshot(backup);
    OpenJournal open;
    open.opening_id = "second";
    open.copy = true;
    open.reason = "restored from a backup";
    Do(open);
    sequence_ = 0;
  }
  // With a result, for the attempt j1.1 that was placed under the first epoch.
  Decision TellFinished() {
    WorkerReport report{DeviceId("d1"), 8, {}};
    report.report.set_sequence(++sequence_);
    v1::AttemptFinished& finished = *report.report.mutable_finished();
    finished.set_attempt_id("j1.1");
    finished.set_fencing_token(1);
    finished.mutable_receipt()->mutable_total()->set_gross_energy_joules(60);
    finished.mutable_output()->set_artifact_id(kOutput);
    return Do(report);
  }
  void CommitOutput() {
    v1::ArtifactInfo output;
    output.set_artifact_id(kOutput);
    output.set_kind(v1::ARTIFACT_KIND_RESULT);
    output.set_job_id("j1");
    Do(CommitArtifact{output});
  }
  [[nodiscard]] const v1::Job& JobOne() const { return FindJob(state_, JobId("j1"))->job(); }

  static constexpr absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);
  absl::Time now_ = kStart;
  int64_t sequence_ = 0;
  std::set<AttemptId> results_to_come_;  // as the device's hello announced them
  State state_;
};

TEST_F(LineageTest, AResultThatComesBackAfterItsEndWasToldEndsTheJob) {
  const std::string backup = SnapshotBytes(state_);
  Place("j1");
  ASSERT_NE(FindAttempt(state_, AttemptId("j1.1")), nullptr);
  Restore(backup);
  Do(WorkerHello{HelloOf("second", 1)});
  TellFinished();
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_QUEUED) << "the restored store lacks the result";
  Place("j1");
  ASSERT_EQ(JobOne().state(), v1::JOB_STATE_ACTIVE);
  CommitOutput();
  TellFinished();
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(JobOne().output_artifact_id(), kOutput);
  EXPECT_TRUE(state_.wanted_attempts.empty()) << "the second run is superseded";
  EXPECT_THAT(TellFinished().events[0].report_accepted().note(), HasSubstr("receipt already"));
}

TEST_F(LineageTest, AHelloBesideALiveStreamOfTheDeviceChangesNothing) {
  Place("j1");
  WorkerHello second{HelloOf("first", 0)};
  second.hello.mutable_device()->set_name("impostor");
  second.rival = "a worker at 10.0.0.7 is connected with it";
  const Decision refused = Do(second);
  EXPECT_THAT(refused.status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("at 10.0.0.7 is")));
  EXPECT_THAT(refused.events, SizeIs(0));
  second.hello.set_opening_id("elsewhere");
  EXPECT_THAT(Do(second).events, SizeIs(0)) << "nor does it open an epoch";
  EXPECT_EQ(FindDevice(state_, DeviceId("d1"))->info().name(), "board");
  ASSERT_NE(FindAttempt(state_, AttemptId("j1.1")), nullptr);
}

// The upload of the result takes a while, and the device that makes it could restart meanwhile.
TEST_F(LineageTest, AJobWhoseResultIsOnItsWayIsNotPlacedAgain) {
  const std::string backup = SnapshotBytes(state_);
  Place("j1");
  Restore(backup);
  Do(WorkerHello{HelloOf("second", 1)});
  results_to_come_ = {AttemptId("j1.1")};
  Place("j1");
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_QUEUED);
  EXPECT_TRUE(MakeSnapshot(state_, Seen(), {}, Now()).queue.empty());
  EXPECT_THAT(DescribeJob(state_, Seen(), JobId("j1"), Now()).reason(),
              HasSubstr("waits for its result"));
  CommitOutput();
  TellFinished();
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_SUCCEEDED);
}

// No result came: the job is placed like any other.
TEST_F(LineageTest, AJobWhoseResultDidNotComeIsPlacedAgain) {
  const std::string backup = SnapshotBytes(state_);
  Place("j1");
  Restore(backup);
  Do(WorkerHello{HelloOf("second", 1)});
  results_to_come_ = {AttemptId("j1.1"), AttemptId("j2.1")};
  TellFinished();
  results_to_come_.erase(AttemptId("j1.1"));
  Place("j1");
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_ACTIVE);
}

// A device drops a result whose job is not open, as far as it is informed.
TEST_F(LineageTest, TheDeviceKeepsAResultThatItCouldNotUploadBeforeTheRestore) {
  const std::string backup = SnapshotBytes(state_);
  Place("j1");
  Restore(backup);
  v1::Hello hello = HelloOf("second", 1);
  v1::HeldAttempt& held = *hello.add_attempts();
  held.set_attempt_id("j1.1");
  held.set_fencing_token(1);
  held.set_state(v1::ATTEMPT_STATE_FINISHED);
  Do(WorkerHello{hello});
  EXPECT_THAT(DesiredFor(state_, DeviceId("d1")).keep_checkpoint_job_ids(), IsEmpty())
      << "its report tells the end";
  hello.add_results_to_return("j1.1");
  Do(WorkerHello{hello});
  Do(WorkerHello{hello});
  EXPECT_THAT(DesiredFor(state_, DeviceId("d1")).keep_checkpoint_job_ids(), ElementsAre("j1"));
  EXPECT_THAT(DesiredFor(state_, DeviceId("d1")).assignments(), IsEmpty());
  EXPECT_THAT(state_.restore_findings, IsEmpty()) << "nothing is stopped";
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_QUEUED);
  CommitOutput();
  TellFinished();
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(JobOne().attempts(), SizeIs(1));
  ASSERT_THAT(state_.restore_findings, SizeIs(1));
  EXPECT_THAT(state_.restore_findings[0].text(), HasSubstr("its result was taken in again"));
}

// A device drops a result that it cannot return, or that seems unwanted.
TEST(EndedAttemptTest, NoResultComesAfterAnEndOfAnyKind) {
  v1::Report report;
  report.mutable_finished()->set_attempt_id("j1.1");
  EXPECT_EQ(EndedAttempt(report), AttemptId("j1.1"));
  report.mutable_failed()->set_attempt_id("j1.2");
  EXPECT_EQ(EndedAttempt(report), AttemptId("j1.2"));
  report.mutable_stopped()->set_attempt_id("j1.3");
  EXPECT_EQ(EndedAttempt(report), AttemptId("j1.3"));
  report.mutable_paused()->set_attempt_id("j1.4");
  EXPECT_EQ(EndedAttempt(report), AttemptId());
}

TEST_F(LineageTest, AlsoWhereTheBackupKnewTheAttempt) {
  Place("j1");
  const std::string backup = SnapshotBytes(state_);
  Restore(backup);
  Do(WorkerHello{HelloOf("second", 1)});
  TellFinished();
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(JobOne().attempts(0).state(), v1::ATTEMPT_STATE_FAILED);
  CommitOutput();
  TellFinished();
  EXPECT_EQ(JobOne().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(JobOne().attempts(0).state(), v1::ATTEMPT_STATE_FINISHED);
  EXPECT_EQ(JobOne().attempts(0).receipt().total().gross_energy_joules(), 60);
}

// The device was away while the restored coordinator ended the job and let it go to the history.
TEST_F(LineageTest, AnAttemptWhoseJobLeftForTheHistoryIsDroppedAndChangesNothing) {
  const std::string backup = SnapshotBytes(state_);
  Place("j1");
  Restore(backup);
  Do(CancelJob{JobId("j1"), "not needed"});
  now_ += absl::Hours(2);
  Do(ArchiveEnded{{.age_max = absl::Hours(1), .jobs_max = 100}});
  ASSERT_EQ(FindJob(state_, JobId("j1")), nullptr);

  v1::Hello hello = HelloOf("second", 1);
  v1::HeldAttempt& held = *hello.add_attempts();
  held.set_attempt_id("j1.1");
  held.set_fencing_token(1);
  held.set_state(v1::ATTEMPT_STATE_RUNNING);
  const Decision greeted = Do(WorkerHello{hello});
  EXPECT_THAT(greeted.status, IsOk());
  for (const v1::Event& event : greeted.events) {
    EXPECT_FALSE(event.has_attempt_recovered());
  }
  EXPECT_EQ(DesiredFor(state_, DeviceId("d1")).assignments_size(), 0) << "it is told to stop";

  WorkerReport stopped{DeviceId("d1"), 8, {}};
  stopped.report.set_sequence(++sequence_);
  stopped.report.mutable_stopped()->set_attempt_id("j1.1");
  stopped.report.mutable_stopped()->set_fencing_token(1);
  const Decision taken = Do(stopped);
  ASSERT_EQ(taken.events.size(), 1U);
  EXPECT_THAT(taken.events[0].report_accepted().note(), HasSubstr("its job is not open here"));
  // Its end is expected: the history has the job, and the report of the restore omits it.
  EXPECT_TRUE(state_.restore_findings.empty());
  CommitOutput();
  EXPECT_EQ(TellFinished().events.size(), 1U);
  EXPECT_TRUE(state_.jobs.empty());
}

// The same case without a restore.
TEST_F(LineageTest, AnAttemptThatLeftWithItsJobChangesNothing) {
  Place("j1");
  Do(CancelJob{JobId("j1"), "not needed"});
  now_ += absl::Hours(2);
  Do(ArchiveEnded{{.age_max = absl::Hours(1), .jobs_max = 100}});
  ASSERT_EQ(FindJob(state_, JobId("j1")), nullptr);
  v1::Hello hello = HelloOf("first", 0);
  hello.add_attempts()->set_attempt_id("j1.1");
  hello.mutable_attempts(0)->set_fencing_token(1);
  EXPECT_THAT(Do(WorkerHello{hello}).status, IsOk());
  WorkerReport report{DeviceId("d1"), 7, {}};
  report.report.set_sequence(1);
  report.report.mutable_finished()->set_attempt_id("j1.1");
  report.report.mutable_finished()->set_fencing_token(1);
  const Decision taken = Do(report);
  ASSERT_EQ(taken.events.size(), 1U);
  EXPECT_THAT(taken.events[0].report_accepted().note(), HasSubstr("unknown attempt"));
}

// Found by the simulation: a worker with a damaged spool repeats its last reports, including those
// from before it began a new counter.
TEST_F(LineageTest, ALedgerOfACounterThatWasReplacedIsNotAddedAgain) {
  const auto tell = [this](int64_t counter, double joules) {
    WorkerReport report{DeviceId("d1"), 7, {}};
    report.report.set_sequence(++sequence_);
    report.report.mutable_ledger()->set_counter_id(counter);
    report.report.mutable_ledger()->set_idle_energy_joules(joules);
    return Do(report);
  };
  const auto idle = [this] {
    return FindDevice(state_, DeviceId("d1"))->ledger().idle_energy_joules();
  };
  tell(1, 100);
  tell(2, 10);
  EXPECT_EQ(idle(), 110);
  EXPECT_THAT(tell(1, 90).events.back().report_accepted().note(), HasSubstr("replaced"));
  EXPECT_EQ(idle(), 110);
  tell(2, 15);
  EXPECT_EQ(idle(), 115);
  tell(3, 1);
  EXPECT_EQ(idle(), 116);
}

}  // namespace
}  // namespace wattle::core
