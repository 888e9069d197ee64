// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core with attempts behind the running one: early fetches, the order of starts, and results
// without a link.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class QueuedTest : public AgentCoreTest {
 protected:
  // The first attempts of jobs j1 to j`count`: the first trains, the others wait.
  std::vector<v1::Assignment> Jobs(int count) {
    std::vector<v1::Assignment> jobs;
    for (int number = 1; number <= count; ++number) {
      v1::Assignment job = Job(absl::StrCat("j", number, ".1"));
      job.set_job_id(absl::StrCat("j", number));
      job.set_fencing_token(6 + number);
      job.set_lease_seconds(0);
      if (number > 1) {
        job.set_after_attempt_id(absl::StrCat("j", number - 1, ".1"));
      }
      job.add_inputs()->set_artifact_id(absl::StrCat("data of j", number));
      jobs.push_back(job);
    }
    return jobs;
  }
  void Hold(const std::vector<v1::Assignment>& jobs) {
    v1::CoordinatorMessage message;
    message.mutable_desired();
    for (const v1::Assignment& job : jobs) {
      *message.mutable_desired()->add_assignments() = job;
      message.mutable_desired()->add_keep_checkpoint_job_ids(job.job_id());
    }
    core_->OnMessage(message, Now());
  }
  void Train() {
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train");
  }
  // The present run produces its result, whose upload fails for lack of a link.
  void EndWithoutLink() {
    StepDone(4);
    Result();
    UploadResult failed;
    failed.status = absl::UnavailableError("no link");
    core_->OnUploaded(failed, Now());
    Pass(absl::Seconds(4));
  }
  [[nodiscard]] std::string Running() const {
    return core_->busy() && !ports_.tasks.empty() ? ports_.tasks.back().attempt_id() : "";
  }
  // The queue's lines of the heartbeat: "j2.1 queued".
  [[nodiscard]] std::vector<std::string> Told() {
    std::vector<std::string> told;
    const v1::Heartbeat heartbeat = core_->MakeHeartbeat(Now());
    for (const v1::AttemptProgress& progress : heartbeat.progress()) {
      told.push_back(absl::StrCat(progress.attempt_id(), " ", progress.phase()));
    }
    return told;
  }
};

TEST_F(QueuedTest, AllAreAcceptedAndTheFirstRuns) {
  Welcome();
  Hold(Jobs(3));
  Train();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "accepted", "accepted", "started"));
  EXPECT_EQ(ports_.tasks.size(), 1U);
  EXPECT_THAT(Told(), ElementsAre("j1.1 train", "j2.1 queued", "j3.1 queued"));
  EXPECT_THAT(core_->OwnerStatus(Now()), HasSubstr("behind it: j2.1, j3.1"));
}

TEST_F(QueuedTest, TheirInputsComeWhileTheFirstRuns) {
  Welcome();
  Hold(Jobs(3));
  EXPECT_EQ(ports_.fetches, 1) << "one transfer at a time";
  Train();
  EXPECT_EQ(ports_.fetches, 2);
  core_->OnFetched({.status = {}, .moved_bytes = 7}, Now());
  EXPECT_EQ(ports_.fetches, 3);
  core_->OnFetched({}, Now());
  Pass(absl::Minutes(30));
  EXPECT_EQ(ports_.fetches, 3) << "each once";
  EXPECT_THAT(core_->MakeHeartbeat(Now()).progress(1).waiting_reason(),
              HasSubstr("inputs are here"));
}

TEST_F(QueuedTest, AFetchThatFailsEndsNothingAndLetsNoLaterOnePass) {
  Welcome();
  Hold(Jobs(3));
  Train();
  FetchResult full;
  full.status = absl::ResourceExhaustedError("disk full");
  core_->OnFetched(full, Now());
  EXPECT_EQ(ports_.fetches, 2);
  Pass(absl::Seconds(30));
  EXPECT_EQ(ports_.fetches, 3) << "the same one again";
  EXPECT_THAT(Facts(), Not(testing::Contains("failed")));
}

TEST_F(QueuedTest, TheRunsOwnUploadGoesFirst) {
  Welcome();
  Hold(Jobs(2));
  Train();
  EXPECT_EQ(ports_.fetches, 2);
  StepDone(4);
  Result();
  EXPECT_EQ(ports_.cancels, 1) << "the inputs of j2.1 give way";
  EXPECT_THAT(ports_.uploads, IsEmpty());
  FetchResult cancelled;
  cancelled.status = absl::CancelledError("");
  core_->OnFetched(cancelled, Now());
  EXPECT_EQ(ports_.uploads.size(), 1U);
}

TEST_F(QueuedTest, WithoutALinkTheNextBeginsWhenOneEnds) {
  Welcome();
  core_->SetCache({"data of j1", "data of j2", "data of j3"}, 1);
  Hold(Jobs(3));
  Train();
  core_->OnDisconnected(Now());
  EndWithoutLink();
  Train();
  EXPECT_EQ(Running(), "j2.1");
  EndWithoutLink();
  Train();
  EXPECT_EQ(Running(), "j3.1");
  EndWithoutLink();
  EXPECT_FALSE(core_->busy());
  EXPECT_THAT(Facts(), Not(testing::Contains("finished"))) << "told with their results";
  EXPECT_THAT(Told(), ElementsAre("j1.1 upload", "j2.1 upload", "j3.1 upload"));
  // After reconnection each result is uploaded and each end is reported once.
  Welcome();
  Hold(Jobs(3));
  for (int result = 1; result <= 3; ++result) {
    EXPECT_THAT(ports_.uploads.back(), HasSubstr(absl::StrCat("results/j", result, ".1")));
    Uploaded();
    Pass(absl::Seconds(1));
  }
  const std::vector<std::string> facts = Facts();
  EXPECT_EQ(std::count(facts.begin(), facts.end(), "finished"), 3);
  EXPECT_EQ(Last("finished").finished().output().artifact_id(), "abc");
  EXPECT_EQ(Last("finished").finished().receipt().output_artifact_id(), "abc");
  EXPECT_GT(Last("finished").finished().receipt().total().gross_energy_joules(), 0);
  EXPECT_FALSE(core_->results_wait());
}

TEST_F(QueuedTest, AfterRebootsTheyGoOnInTheOrderOfTheirTokens) {
  Welcome();
  std::vector<v1::Assignment> jobs = Jobs(3);
  jobs[1].set_attempt_id("j10.1");  // sorts before "j9.1" by name
  jobs[0].set_attempt_id("j9.1");
  core_->SetCache({"data of j1", "data of j2", "data of j3"}, 1);
  Hold(jobs);
  Train();
  boot_id_ = "second";
  Boot();
  core_->SetCache({"data of j1", "data of j2", "data of j3"}, 1);
  core_->Step(Now());
  Train();
  EXPECT_EQ(Running(), "j9.1");
  EndWithoutLink();
  Train();
  EXPECT_EQ(Running(), "j10.1");
  boot_id_ = "third";
  Boot();
  core_->Step(Now());
  Train();
  EXPECT_EQ(Running(), "j10.1") << "what finished does not run again";
  EXPECT_THAT(Told(), testing::Contains("j9.1 upload"));
}

TEST_F(QueuedTest, AResultThatWaitsOutlivesAPowerCutAtAnyWrite) {
  for (int cut = 0; cut < 60; ++cut) {
    disk_ = MemoryDisk(/*seed=*/1);
    boot_id_ = "first";
    Boot();
    Welcome();
    Hold(Jobs(1));
    Train();
    core_->OnDisconnected(Now());
    disk_.CutPowerAfter(cut, 0);
    StepDone(4);
    if (disk_.power_is_cut()) {
      disk_.RestorePower();
      continue;  // before there was a result
    }
    ASSERT_THAT(disk_.Replace(ports_.tasks.back().output_directory() + "/model", "weights"),
                testing::AnyOf(IsOk(), Not(IsOk())));
    v1::RunnerFrame frame;
    frame.mutable_result()->mutable_work()->set_steps(4);
    core_->OnFrame(frame, Now());
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
    UploadResult failed;
    failed.status = absl::UnavailableError("no link");
    core_->OnUploaded(failed, Now());
    Pass(absl::Seconds(4));
    disk_.RestorePower();
    boot_id_ = "second";
    Boot();
    core_->Step(Now());
    // Either the attempt continues, or its result waits: never neither, never both.
    EXPECT_NE(core_->busy(), core_->results_wait()) << "cut " << cut;
  }
}

TEST_F(QueuedTest, NoneBeginsWhileTheGuardHoldsTheBoard) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.9);
  Hold(Jobs(2));
  Train();
  v1::CoordinatorMessage message;
  for (const v1::Assignment& job : Jobs(2)) {
    *message.mutable_desired()->add_assignments() = job;
  }
  message.mutable_desired()->add_policies()->set_reserve_state_of_charge_ratio(0.95);
  core_->OnMessage(message, Now());
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Minutes(1));
  EXPECT_FALSE(core_->busy());
  EXPECT_EQ(ports_.tasks.size(), 1U);
}

TEST_F(QueuedTest, OneThatIsGivenBackIsToldAtOnceWhileTheFirstRuns) {
  Welcome();
  std::vector<v1::Assignment> jobs = Jobs(2);
  Hold(jobs);
  Train();
  v1::CoordinatorMessage message;
  *message.mutable_desired()->add_assignments() = jobs[0];
  message.mutable_desired()->add_releases()->set_attempt_id("j2.1");
  message.mutable_desired()->mutable_releases(0)->set_fencing_token(8);
  core_->OnMessage(message, Now());
  EXPECT_EQ(Last("stopped").stopped().attempt_id(), "j2.1");
  EXPECT_FALSE(Last("stopped").stopped().has_receipt()) << "it never began";
  EXPECT_EQ(ports_.cancels, 1) << "its inputs come no more";
  EXPECT_EQ(Running(), "j1.1");
  EXPECT_EQ(ports_.stops, 0);
}

TEST_F(QueuedTest, OneThatNobodyWantsBeforeItsBeginHasNoReceipt) {
  Welcome();
  std::vector<v1::Assignment> jobs = Jobs(2);
  Hold(jobs);
  Train();
  Pass(absl::Seconds(60));
  Hold({jobs[0]});
  EXPECT_EQ(Last("stopped").stopped().attempt_id(), "j2.1");
  EXPECT_FALSE(Last("stopped").stopped().has_receipt());
  Hold({});
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Pass(absl::Seconds(4));
  EXPECT_EQ(Last("stopped").stopped().attempt_id(), "j1.1");
  EXPECT_GT(Last("stopped").stopped().receipt().total().gross_energy_joules(), 590);
}

TEST_F(QueuedTest, WhatNobodyWantsAnyMoreIsToldWithoutItsResult) {
  Welcome();
  Hold(Jobs(1));
  Train();
  Pass(absl::Seconds(5));
  core_->OnDisconnected(Now());
  EndWithoutLink();
  const size_t uploads = ports_.uploads.size();
  Welcome();
  Hold({});
  UploadResult failed;  // one began before the word came
  failed.status = absl::UnavailableError("no link");
  core_->OnUploaded(failed, Now());
  Pass(absl::Seconds(10));
  EXPECT_EQ(Last("stopped").stopped().attempt_id(), "j1.1");
  EXPECT_GT(Last("stopped").stopped().receipt().total().gross_energy_joules(), 0);
  EXPECT_EQ(ports_.uploads.size(), uploads + 1);
  EXPECT_FALSE(core_->results_wait());
}

TEST_F(QueuedTest, AFullDiskDoesNotCostAResultThatWaits) {
  Welcome();
  Hold(Jobs(1));
  Train();
  core_->OnDisconnected(Now());
  EndWithoutLink();
  core_->OnShortOfRoom(1'000'000);
  EXPECT_GT(state_->ResultSizeBytes("j1.1"), 0);
}

}  // namespace
}  // namespace wattle::agent
