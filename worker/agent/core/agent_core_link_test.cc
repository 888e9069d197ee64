// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core's measurements of its link, and the times at which it lets artifacts move.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class LinkTest : public AgentCoreTest {
 protected:
  LinkTest() {
    civil_ = absl::FromUnixSeconds(1'899'979'200);  // 12:00 UTC
    Boot();
    Welcome();
  }
  void DesireWith(const v1::LinkLimits& link) {
    v1::CoordinatorMessage message;
    v1::Assignment& job = *message.mutable_desired()->add_assignments() = Job("j1.1");
    job.add_inputs()->set_artifact_id("model");
    job.set_lease_seconds(864000);
    v1::Policy& policy = *message.mutable_desired()->add_policies();
    policy.set_name("lte");
    *policy.mutable_link() = link;
    core_->OnMessage(message, Now());
  }
  static v1::LinkLimits Window(const std::string& window) {
    v1::LinkLimits link;
    link.add_windows(window);
    return link;
  }
  void PassHours(double hours) {
    wall_ = wall_ + absl::Hours(hours);
    civil_ += absl::Hours(hours);
    Pass(absl::Seconds(1));
  }
  std::string Waiting() {
    const v1::Heartbeat heartbeat = core_->MakeHeartbeat(Now());
    return heartbeat.progress_size() == 0 ? "" : heartbeat.progress(0).waiting_reason();
  }
};

TEST_F(LinkTest, NoArtifactComesOutsideItsWindow) {
  DesireWith(Window("14:00-15:00"));
  EXPECT_EQ(ports_.fetches, 0);
  EXPECT_THAT(Waiting(), HasSubstr("artifacts may come and leave 14:00-15:00 UTC (policy lte)"));
  PassHours(2);
  EXPECT_EQ(ports_.fetches, 1);
  EXPECT_THAT(Waiting(), IsEmpty());
}

TEST_F(LinkTest, ABoardServesItsSiteUnlessItKeepsItsEnergyOrItsLinkIsMetered) {
  EXPECT_TRUE(core_->MayServePeers());
  DesireWith(Window("14:00-15:00"));
  EXPECT_TRUE(core_->MayServePeers()) << "other boards are not behind that link";
  EXPECT_THAT(core_->Hold(absl::Hours(1), Now()), IsOk());
  EXPECT_FALSE(core_->MayServePeers()) << "its owner has it";
  EXPECT_THAT(core_->EndHold(Now()), IsOk());
  EXPECT_TRUE(core_->MayServePeers());
  v1::LinkLimits metered;
  metered.set_bytes_per_day(50'000'000);
  DesireWith(metered);
  EXPECT_FALSE(core_->MayServePeers());
}

TEST_F(AgentCoreTest, ABoardAtItsReserveServesNobody) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.5);
  Desire({}, /*reserve=*/0.2);
  EXPECT_TRUE(core_->MayServePeers());
  Desire({}, /*reserve=*/0.8);
  EXPECT_FALSE(core_->MayServePeers());
}

TEST_F(LinkTest, WhatIsHereNeedsNoWindow) {
  core_->SetCache({"model"}, 1);
  DesireWith(Window("14:00-15:00"));
  EXPECT_EQ(ports_.fetches, 1);
}

TEST_F(LinkTest, ATransferEndsWithItsWindowAndGoesOnWithTheNext) {
  DesireWith(Window("12:00-13:00"));
  EXPECT_EQ(ports_.fetches, 1);
  PassHours(1);
  EXPECT_EQ(ports_.cancels, 1);
  FetchResult ended = {.status = absl::CancelledError("fetch: cancelled"), .moved_bytes = 7};
  core_->OnFetched(ended, Now());
  EXPECT_THAT(Waiting(), HasSubstr("policy lte"));
  PassHours(22);
  EXPECT_EQ(ports_.fetches, 1);
  PassHours(1);
  EXPECT_EQ(ports_.fetches, 2);
}

TEST_F(LinkTest, AResultWaitsForItsWindowAndTheReceiptCountsBytes) {
  core_->SetCache({"model"}, 1);
  DesireWith(Window("14:00-15:00"));
  FetchResult fetched;
  fetched.moved_bytes = 300;
  fetched.peer_bytes = 700;
  core_->OnFetched(fetched, Now());
  Phase("train");
  StepDone(4);
  Result();
  Pass(absl::Seconds(1));
  EXPECT_THAT(ports_.uploads, IsEmpty());
  PassHours(2);
  ASSERT_EQ(ports_.uploads.size(), 1U);
  UploadResult result;
  result.artifact.set_artifact_id("abc");
  result.moved_bytes = 500;
  core_->OnUploaded(result, Now());
  Pass(absl::Seconds(1));
  EXPECT_EQ(Last("finished").finished().receipt().fetched_bytes(), 300);
  EXPECT_EQ(Last("finished").finished().receipt().peer_fetched_bytes(), 700);
  EXPECT_EQ(Last("finished").finished().receipt().uploaded_bytes(), 500);
}

TEST_F(LinkTest, OnceTheDaysBytesAreSpentArtifactsWaitForTheNextDay) {
  v1::LinkLimits link;
  link.set_bytes_per_day(3'000'000);
  DesireWith(link);
  EXPECT_EQ(ports_.fetches, 1);
  v1::LinkBytes bytes;
  bytes.set_fetched(2'999'999);
  core_->OnLinkBytes(bytes, Now());
  EXPECT_EQ(core_->MakeHeartbeat(Now()).link_day_bytes(), 2'999'999) << "plans count them";
  Pass(absl::Seconds(1));
  EXPECT_EQ(ports_.cancels, 0);
  core_->OnLinkBytes(bytes, Now());
  EXPECT_EQ(ports_.cancels, 1) << "with the last byte, and not with the next step";
  core_->OnFetched({.status = absl::CancelledError("fetch: cancelled")}, Now());
  EXPECT_THAT(Waiting(), HasSubstr("has carried 5.7 MiB today"));
  PassHours(11);
  EXPECT_EQ(ports_.fetches, 1);
  PassHours(2);
  EXPECT_EQ(ports_.fetches, 2);
}

TEST_F(LinkTest, WhatWasMeasuredAndCountedOutlivesARestartAndIsReported) {
  FetchResult fetched;
  fetched.moved_bytes = 10'000'000;
  fetched.moved_in = absl::Seconds(100);
  core_->OnFetched(fetched, Now());
  v1::LinkBytes bytes;
  bytes.set_fetched(10'000'000);
  core_->OnLinkBytes(bytes, Now());
  core_->Shutdown(Now());
  Boot();
  core_->OnConnected(Now());
  v1::CoordinatorMessage message;
  message.mutable_welcome()->set_heartbeat_seconds(1);
  message.mutable_welcome()->set_takes_heartbeat_changes(true);
  core_->OnMessage(message, Now());
  EXPECT_EQ(core_->MakeHeartbeat(Now()).link().download_bytes_per_second(), 100'000);
  PassHours(1);
  EXPECT_EQ(Last("ledger").ledger().link_bytes().fetched(), 10'000'000);
}

}  // namespace
}  // namespace wattle::agent
