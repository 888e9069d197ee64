// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core and the coordinator's journal: a restored or another coordinator, numbers of reports,
// acknowledgements, results that are reported again.
#include <algorithm>
#include <memory>
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

TEST_F(AgentCoreTest, TheWorkerReportsAgainWhatARestoredCoordinatorForgot) {
  RunForFarm();
  Acknowledge();
  v1::Assignment second = Job("j2.1");
  second.set_job_id("j2");
  second.set_fencing_token(8);
  Desire({second});
  const int64_t before = spool_->incarnation();
  const std::vector<std::string> told = Facts();
  EXPECT_THAT(told, ElementsAre("accepted"));
  core_->OnConnected(Now());
  WelcomeOf("farm", 1);
  EXPECT_NE(spool_->incarnation(), before);
  EXPECT_EQ(LastHello().incarnation(), spool_->incarnation());
  EXPECT_EQ(LastHello().epoch(), 1);
  ASSERT_EQ(LastHello().attempts_size(), 1);
  EXPECT_EQ(LastHello().attempts(0).fencing_token(), 8);
  EXPECT_THAT(Facts(), ElementsAre("accepted", "finished", "accepted"));
  EXPECT_EQ(Last("finished").finished().attempt_id(), "j1.1");
  EXPECT_EQ(spool_->pending().front().sequence(), 1);
  // A desired set for the earlier hello does not count, and an ended attempt is not run again.
  Desire({});
  EXPECT_EQ(state_->ReadAttempts().size(), 1U);
  WelcomeOf("farm", 1);
  Desire({Job("j1.1"), second});
  EXPECT_EQ(state_->ReadAttempts().size(), 1U);
}

// The restored store may lack the result, so the result is sent before the end is reported.
TEST_F(AgentCoreTest, ARestoredCoordinatorGetsAResultThatIsStillHere) {
  RunForFarm();
  EXPECT_TRUE(state_->ReadAttempts().empty());
  ASSERT_GT(state_->ResultSizeBytes("j1.1"), 0);
  Acknowledge();
  core_->OnConnected(Now());
  WelcomeOf("farm", 1);
  EXPECT_THAT(Facts(), ElementsAre());
  EXPECT_THAT(LastHello().results_to_return(), ElementsAre("j1.1"));
  WelcomeOf("farm", 1);
  ASSERT_EQ(ports_.uploads.size(), 2U);
  EXPECT_THAT(ports_.uploads[1], HasSubstr("results/j1.1"));
  // An attempt placed meanwhile waits for the only transfer.
  v1::Assignment second = Job("j2.1");
  second.set_job_id("j2");
  second.set_fencing_token(int64_t{1} << 41);
  Desire({second});
  EXPECT_EQ(ports_.fetches, 1);
  UploadResult refused;
  refused.status = absl::UnavailableError("the link");
  core_->OnUploaded(refused, Now());
  EXPECT_EQ(ports_.fetches, 2) << "a link that is away holds no work up";
  core_->OnFetched({}, Now());
  Phase("train");
  Result();
  Uploaded();
  Pass(absl::Seconds(6));
  ASSERT_EQ(ports_.uploads.size(), 4U);
  EXPECT_THAT(ports_.uploads[3], HasSubstr("results/j1.1"));
  Uploaded();
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "finished", "finished"));
  EXPECT_EQ(Last("finished").finished().attempt_id(), "j1.1");
  EXPECT_EQ(Last("finished").finished().fencing_token(), 7);
  core_->OnConnected(Now());
  EXPECT_THAT(LastHello().results_to_return(), ElementsAre());
}

// The files were lost with the card or removed for space: the end is reported without them.
TEST_F(AgentCoreTest, AResultThatIsGoneIsToldAllTheSame) {
  RunForFarm();
  Acknowledge();
  core_->OnConnected(Now());
  WelcomeOf("farm", 1);
  WelcomeOf("farm", 1);
  ASSERT_EQ(ports_.uploads.size(), 2U);
  EXPECT_GT(state_->FreeLeftWork(1), 0);
  UploadResult refused;
  refused.status = absl::NotFoundError("no such file");
  core_->OnUploaded(refused, Now());
  EXPECT_EQ(Last("finished").finished().attempt_id(), "j1.1");
}

// The simulation found the fault: the worker stayed connected for ever without a welcome.
TEST_F(AgentCoreTest, AFullDiskOnlyDelaysTheNewNumberingAfterARestore) {
  core_->OnConnected(Now());
  WelcomeOf("farm", 0);
  const int64_t before = spool_->incarnation();
  core_->OnDisconnected(Now());
  core_->OnConnected(Now());
  disk_.set_full(true);
  WelcomeOf("farm", 1);
  EXPECT_EQ(spool_->incarnation(), before);
  disk_.set_full(false);
  ports_.sent.clear();
  Pass(absl::Seconds(6));
  EXPECT_EQ(LastHello().epoch(), 0);
  WelcomeOf("farm", 1);
  EXPECT_NE(spool_->incarnation(), before);
  EXPECT_EQ(LastHello().epoch(), 1);
}

TEST_F(AgentCoreTest, AnotherJournalGetsNoReportOfTheOldOne) {
  core_->OnConnected(Now());
  WelcomeOf("farm", 0);
  StartTraining();
  core_->OnConnected(Now());
  WelcomeOf("another farm", 0);
  EXPECT_EQ(ports_.stops, 1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  EXPECT_THAT(Facts(), ElementsAre());
  EXPECT_TRUE(state_->ReadAttempts().empty());
  WelcomeOf("another farm", 0);
  Desire({Job("j1.1")});
  EXPECT_THAT(Facts(), ElementsAre("accepted"));
}

TEST_F(AgentCoreTest, TheWorkerFollowsItsCoordinatorAndRemembersWhereItWent) {
  core_->OnConnected(Now(), "old:1");
  WelcomeOf("farm", 0);
  StartTraining();
  MovedFrom("old:1", "new:1");
  EXPECT_THAT(ports_.dialled, ElementsAre("new:1"));
  EXPECT_THAT(state_->ReadLineage().record.moved_to(), ElementsAre())
      << "the address is not proved yet";
  core_->OnConnected(Now(), "new:1");
  WelcomeOf("farm", 1);
  WelcomeOf("farm", 1);
  EXPECT_EQ(ports_.stops, 0);
  MovedFrom("new:1", "newer:1");
  core_->OnConnected(Now(), "newer:1");
  WelcomeOf("farm", 2);
  WelcomeOf("farm", 2);
  Boot();
  EXPECT_THAT(state_->ReadLineage().record.moved_to(), ElementsAre("newer:1", "new:1"));
}

TEST_F(AgentCoreTest, AStrangerToWhomTheCoordinatorSendsGetsNothing) {
  core_->OnConnected(Now(), "old:1");
  WelcomeOf("farm", 1);
  StartTraining();
  for (const auto& [lineage, epoch] :
       {std::pair("another farm", int64_t{5}), std::pair("farm", int64_t{0})}) {
    ports_.dialled.clear();
    MovedFrom("old:1", "stranger:1");
    core_->OnConnected(Now(), "stranger:1");
    const size_t lines = Logs().size();
    Phase("evaluate");
    Phase("train", 1);
    EXPECT_EQ(Logs().size(), lines) << "the run's log is for its own coordinator";
    WelcomeOf(lineage, epoch);
    // Its messages after the welcome, before the stream is closed, do not count either.
    Desire({});
    v1::CoordinatorMessage closing;
    closing.mutable_closing()->set_moved_to("other:1");
    core_->OnMessage(closing, Now());
    EXPECT_THAT(ports_.dialled, ElementsAre("stranger:1", "next"));
    // Until the worker's own journal welcomes it, the worker does not follow there again.
    MovedFrom("old:1", "stranger:1");
    EXPECT_THAT(ports_.dialled, ElementsAre("stranger:1", "next"));
    core_->OnConnected(Now(), "old:1");
    WelcomeOf("farm", 1);
    // The link's next round reaches the stranger again.
    core_->OnConnected(Now(), "stranger:1");
    WelcomeOf(lineage, epoch);
    EXPECT_EQ(ports_.dialled.size(), 3U);
    core_->OnConnected(Now(), "old:1");
    WelcomeOf("farm", 1);
  }
  EXPECT_EQ(ports_.stops, 0);
  EXPECT_EQ(state_->ReadAttempts().size(), 1U);
  EXPECT_THAT(state_->ReadLineage().record.moved_to(), ElementsAre());
}

TEST_F(AgentCoreTest, AnAddressThatIsNoneIsNotFollowed) {
  core_->OnConnected(Now(), "old:1");
  WelcomeOf("farm", 0);
  MovedFrom("old:1", "nonsense");
  MovedFrom("old:1", "old:1");
  EXPECT_THAT(ports_.dialled, ElementsAre());
}

TEST_F(AgentCoreTest, AWorkerWithSeveralAddressesFollowsItsOwnJournalAlone) {
  several_coordinators_ = true;
  Boot();
  core_->OnConnected(Now(), "one:1");
  WelcomeOf("farm", 0);
  StartTraining();
  core_->OnDisconnected(Now());
  core_->OnConnected(Now(), "two:1");
  WelcomeOf("another farm", 0);
  EXPECT_THAT(ports_.dialled, ElementsAre("next"));
  EXPECT_EQ(ports_.stops, 0);
  EXPECT_EQ(state_->ReadLineage().record.lineage_id(), "farm");
  EXPECT_EQ(state_->ReadAttempts().size(), 1U);
}

TEST_F(AgentCoreTest, TheWorkerReportsNothingToAReplacedCoordinator) {
  core_->OnConnected(Now());
  WelcomeOf("farm", 3);
  Desire({Job("j1.1")});
  core_->OnConnected(Now());
  ports_.sent.clear();
  WelcomeOf("farm", 2);
  Pass(absl::Seconds(2));
  EXPECT_TRUE(ports_.sent.empty());
  EXPECT_THAT(ports_.notes.back(), HasSubstr("epoch 2"));
}

TEST_F(AgentCoreTest, AnAttemptOfAnotherTokenIsAnotherAttempt) {
  Welcome();
  Desire({Job("j1.1")});
  v1::Assignment again = Job("j1.1");
  again.set_fencing_token(9);
  Desire({again});
  core_->OnFetched({.status = absl::CancelledError("")}, Now());
  Pass(absl::Seconds(6));
  EXPECT_THAT(Facts(), ElementsAre("accepted", "stopped", "accepted"));
  EXPECT_EQ(Last("accepted").accepted().fencing_token(), 9);
}

// A trial found the fault: the spool lost its records, so "started" and "finished" got numbers that
// the coordinator already had, and the job ran forever.
TEST_F(AgentCoreTest, ADamagedSpoolIsNotedAndEveryHeldAttemptIsReportedAgain) {
  Welcome();
  StartTraining();
  StepDone(4);
  Result();
  Uploaded();
  const int64_t incarnation = spool_->incarnation();
  std::string content = *disk_.Read("spool");
  for (size_t at = 60; at < content.size(); at += 20) {
    content[at] = static_cast<char>(content[at] ^ 1);
  }
  ASSERT_THAT(disk_.Replace("spool", content), IsOk());
  Boot();
  EXPECT_NE(spool_->incarnation(), incarnation);
  EXPECT_THAT(ports_.notes, testing::Contains(HasSubstr("numbers begin anew")));
  EXPECT_TRUE(core_->Counters().spool_repaired);
  EXPECT_EQ(Last("finished").finished().receipt().output_artifact_id(), "abc");
  EXPECT_EQ(Last("finished").finished().output().artifact_id(), "abc");
}

// An SD card that loses whole records leaves a spool that looks intact.
TEST_F(AgentCoreTest, ACoordinatorThatKnowsMoreReportsThanTheSpoolGetsThemUnderNewNumbers) {
  Welcome();
  Desire({Job("j1.1")});
  const int64_t incarnation = spool_->incarnation();
  core_->OnDisconnected(Now());
  core_->OnConnected(Now());
  v1::CoordinatorMessage message;
  message.mutable_welcome()->set_acknowledged_sequence(9);
  core_->OnMessage(message, Now());
  EXPECT_EQ(ports_.reconnects, 1);
  EXPECT_NE(spool_->incarnation(), incarnation);
  EXPECT_THAT(Facts(), testing::Contains("accepted"));
}

TEST_F(AgentCoreTest, ReportsComeAgainAfterAWelcomeUntilAcknowledged) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnDisconnected(Now());
  core_->OnConnected(Now());
  ports_.sent.clear();
  v1::CoordinatorMessage message;
  message.mutable_welcome()->set_acknowledged_sequence(0);
  core_->OnMessage(message, Now());
  int reports = 0;
  for (const auto& sent : ports_.sent) {
    reports += sent.has_report() ? 1 : 0;
  }
  EXPECT_EQ(reports, 1);
  message.Clear();
  message.mutable_acknowledgement()->set_incarnation(spool_->incarnation());
  message.mutable_acknowledgement()->set_sequence(1);
  core_->OnMessage(message, Now());
  EXPECT_TRUE(spool_->pending().empty());
}

TEST_F(AgentCoreTest, AnAcknowledgementOfAnotherIncarnationIsIgnored) {
  Welcome();
  Desire({Job("j1.1")});
  v1::CoordinatorMessage message;
  message.mutable_acknowledgement()->set_incarnation(spool_->incarnation() + 1);
  message.mutable_acknowledgement()->set_sequence(1);
  core_->OnMessage(message, Now());
  EXPECT_EQ(spool_->pending().size(), 1U);
}

}  // namespace
}  // namespace wattle::agent
