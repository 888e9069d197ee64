// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/enrolment.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/fleet_timetable.h"
#include "coordinator/core/testing/fleet_for_test.h"
#include "scheduler/profiles/testing/row_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;

constexpr double kMadeAt = 1'800'000'000;

class EnrolmentTest : public testing::Test {
 protected:
  EnrolmentTest() {
    v1::EnrolmentToken token;
    token.set_token_id("t1");
    token.set_secret_sha256("secret");
    token.set_kind(kDeviceKind);
    token.set_uses(2);
    token.set_expires_unix_seconds(kMadeAt + 60);
    token.add_labels()->set_key("site");
    Do(CreateTokens{{token}});
  }

  Decision Do(const Command& command) {
    Decision decision = Decide(state_, command, Observations(), {FromUnix(now_), Monotonic()});
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, std::nullopt);
    }
    // A snapshot keeps all that was decided.
    state_ = *ParseSnapshot(SnapshotBytes(state_));
    return decision;
  }
  Decision Enroll(const std::string& id, const std::string& key, const std::string& request,
                  const std::string& secret = "secret", const std::string& token = "t1") {
    Enrol command;
    command.secret_sha256 = secret;
    command.identity.set_id(id);
    command.identity.set_token_id(token);
    command.identity.set_public_key_sha256(key);
    command.identity.set_signing_request_sha256(request);
    command.identity.set_certificate_pem("certificate of " + request);
    return Do(command);
  }

  State state_;
  double now_ = kMadeAt;
};

TEST_F(EnrolmentTest, ATokenLetsAsManyInAsItSays) {
  EXPECT_THAT(Enroll("a", "ka", "ra").status, IsOk());
  EXPECT_THAT(Enroll("b", "kb", "rb").status, IsOk());
  EXPECT_THAT(Enroll("c", "kc", "rc").status,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("was used 2 of 2 times")));
  const v1::IdentityRecord* const a = FindIdentity(state_, kDeviceKind, "a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->labels(0).key(), "site");
  EXPECT_EQ(a->certificate_pem(), "certificate of ra");
}

// A board that took a person's token would be a person, and never a board again.
TEST_F(EnrolmentTest, BoardsAndPeopleDoNotSpendTokensOfEachOther) {
  v1::EnrolmentToken token = *state_.tokens.Find("t1");
  EXPECT_THAT(CheckTaker(token, "device-a"), IsOk());
  EXPECT_THAT(CheckTaker(token, ""),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("t1: is a device's, and is not spent; use it by 'wattle-worker "
                                 "enroll TOKEN' on the board")));
  token.set_kind(kPersonKind);
  EXPECT_THAT(CheckTaker(token, ""), IsOk());
  EXPECT_THAT(CheckTaker(token, "device-a"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("t1: is a person's, and is not spent; use it by 'wattle login")));
}

TEST_F(EnrolmentTest, ARepetitionSpendsNothingAlsoAfterTheTokensEnd) {
  ASSERT_THAT(Enroll("a", "ka", "ra").status, IsOk());
  now_ += 3600;
  const Decision again = Enroll("a", "ka", "ra");
  EXPECT_THAT(again.status, IsOk());
  EXPECT_TRUE(again.existed);
  EXPECT_TRUE(again.events.empty());
  EXPECT_EQ(state_.tokens.at("t1").used(), 1);
  EXPECT_THAT(Enroll("a", "ka", "ra", "guess").status,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("made none like it")));
}

TEST_F(EnrolmentTest, TheCoordinatorsClockEndsAToken) {
  now_ = kMadeAt + 59;
  EXPECT_THAT(Enroll("a", "ka", "ra").status, IsOk());
  now_ = kMadeAt + 60;
  EXPECT_THAT(Enroll("b", "kb", "rb").status,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("expired")));
}

TEST_F(EnrolmentTest, ADevicesKeyIsReplacedOnceItIsRevoked) {
  ASSERT_THAT(Enroll("a", "ka", "ra").status, IsOk());
  EXPECT_THAT(Enroll("a", "thief", "rt").status,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("another key")));
  EXPECT_THAT(Do(RevokeIdentity{kDeviceKind, "a", "stolen", "ann"}).status, IsOk());
  EXPECT_TRUE(FindIdentity(state_, kDeviceKind, "a")->revoked());
  EXPECT_THAT(Enroll("a", "ka", "again").status,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("key was revoked")));
  EXPECT_THAT(Enroll("a", "new", "rn").status, IsOk());
  EXPECT_FALSE(FindIdentity(state_, kDeviceKind, "a")->revoked());
}

TEST_F(EnrolmentTest, ATokenWithApproveLeavesItsDevicesWaiting) {
  v1::EnrolmentToken token;
  token.set_token_id("t2");
  token.set_secret_sha256("secret");
  token.set_kind(kDeviceKind);
  token.set_uses(9);
  token.set_expires_unix_seconds(kMadeAt + 60);
  token.set_approve(true);
  Do(CreateTokens{{token}});
  ASSERT_THAT(Enroll("a", "ka", "ra", "secret", "t2").status, IsOk());
  ASSERT_THAT(Enroll("b", "kb", "rb", "secret", "t2").status, IsOk());
  ASSERT_THAT(Enroll("c", "kc", "rc").status, IsOk());
  const auto waits = [&](const char* device) { return WaitsForApproval(state_, DeviceId(device)); };
  EXPECT_TRUE(waits("a") && waits("b"));
  EXPECT_FALSE(waits("c") || waits("nobody"));
  EXPECT_EQ(FindIdentity(state_, kDeviceKind, "a")->enrolled_unix_seconds(), kMadeAt);

  EXPECT_EQ(Do(ApproveDevice{DeviceId("a"), "otto"}).events.size(), 1U);
  EXPECT_FALSE(waits("a"));
  EXPECT_TRUE(waits("b")) << "another device's approval";
  const Decision again = Do(ApproveDevice{DeviceId("a"), "otto"});
  EXPECT_THAT(again.status, IsOk());
  EXPECT_TRUE(again.events.empty());
  EXPECT_THAT(Do(ApproveDevice{DeviceId("nobody"), "otto"}).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no device \"nobody\" enrolled")));

  ASSERT_THAT(Do(RevokeIdentity{kDeviceKind, "b", "", "otto"}).status, IsOk());
  EXPECT_THAT(Do(ApproveDevice{DeviceId("b"), "otto"}).status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("b was revoked")));
}

// A fleet whose board, which runs j1.1, enrols.
struct EnrolledFleet : Fleet {
  explicit EnrolledFleet(bool approve) {
    PlaceFirst(*this);
    v1::EnrolmentToken token;
    token.set_token_id("t1");
    token.set_kind(kDeviceKind);
    token.set_uses(1);
    token.set_expires_unix_seconds(ToUnix(Now().wall) + 60);
    token.set_approve(approve);
    Do(state, observations, CreateTokens{{token}});
    Enrol enrol;
    enrol.identity.set_id("device-1");
    enrol.identity.set_token_id("t1");
    Do(state, observations, enrol);
  }
};

// Enrolled by a token that requires approval.
struct WaitingFleet : EnrolledFleet {
  WaitingFleet() : EnrolledFleet(/*approve=*/true) {
    v1::Policy policy;
    policy.set_name("field");
    policy.set_max_temperature_celsius(80);
    Do(state, observations, ApplyPolicy{policy});
  }
  [[nodiscard]] PlanComputed Plan() const {
    return ComputePlan(MakeSnapshot(state, observations, {}, Now()));
  }
};

TEST(ApprovalTest, AWaitingDeviceLosesItsWorkAndGetsNone) {
  WaitingFleet fleet;
  const DeviceId device("device-1");
  EXPECT_EQ(FindAttempt(fleet.state, AttemptId("j1.1"))->state(), v1::ATTEMPT_STATE_SUPERSEDED);
  const v1::DesiredSet desired = DesiredFor(fleet.state, device);
  EXPECT_EQ(desired.assignments_size(), 0);
  EXPECT_EQ(desired.policies_size(), 0) << "the fleet's policies are not its business";
  const v1::Device view = DescribeDevice(fleet.state, fleet.observations, device, Now());
  EXPECT_THAT(view.problem(), HasSubstr("orin waits for approval: wattle device approve orin"));
  const auto timetable =
      FleetTimetable(fleet.state, fleet.observations, {}, v1::TimetableRequest(), Now());
  ASSERT_THAT(timetable, IsOk());
  EXPECT_EQ(timetable->devices(0).takes_none_because(), view.problem());

  const PlanComputed plan = fleet.Plan();
  ASSERT_EQ(plan.jobs.size(), 1U);
  EXPECT_THAT(WhyNotNow(fleet.state, plan.jobs[0]),
              HasSubstr("feasible after: wattle device approve orin"));
  Do(fleet.state, fleet.observations, plan);
  EXPECT_EQ(FindAttempt(fleet.state, AttemptId("j1.2")), nullptr);
}

// Its report about earlier work gives the fleet no result.
TEST(ApprovalTest, AWaitingDevicesReportChangesNothing) {
  WaitingFleet fleet;
  WorkerReport report = {DeviceId("device-1"), 1, {}};
  report.report.set_sequence(1);
  v1::AttemptFinished& finished = *report.report.mutable_finished();
  finished.set_attempt_id("j1.1");
  finished.set_fencing_token(FindAttempt(fleet.state, AttemptId("j1.1"))->fencing_token());
  finished.mutable_output()->set_artifact_id(TinyModel().artifact_id());
  Do(fleet.state, fleet.observations, report);
  EXPECT_EQ(FindJob(fleet.state, JobId("j1"))->job().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(FindMark(fleet.state, DeviceId("device-1"), 1)->sequence(), 1);
}

TEST(ApprovalTest, AnApprovedDeviceGetsWorkAtOnceAndNoPlanOfBefore) {
  WaitingFleet fleet;
  PlanComputed forged = fleet.Plan();
  ASSERT_EQ(forged.jobs.size(), 1U);
  forged.jobs[0].placement.set_device_id("device-1");
  forged.jobs[0].placement.set_wait(false);
  Do(fleet.state, fleet.observations, forged);
  EXPECT_EQ(FindAttempt(fleet.state, AttemptId("j1.2")), nullptr) << "by a plan that is wrong";

  const Decision approved =
      Decide(fleet.state, ApproveDevice{DeviceId("device-1"), "otto"}, fleet.observations, Now());
  ASSERT_THAT(approved.status, IsOk());
  ASSERT_EQ(approved.events.size(), 1U);
  const std::vector<Effect> effects = Apply(fleet.state, approved.events[0], Now().monotonic);
  const auto has = [&](auto wanted) {
    return std::any_of(effects.begin(), effects.end(), [](const Effect& effect) {
      return std::holds_alternative<decltype(wanted)>(effect);
    });
  };
  EXPECT_TRUE(has(DesiredSetChanged{}) && has(QueueChanged{}));
  EXPECT_EQ(DesiredFor(fleet.state, DeviceId("device-1")).policies_size(), 1);
  Do(fleet.state, fleet.observations, fleet.Plan());
  EXPECT_NE(FindAttempt(fleet.state, AttemptId("j1.2")), nullptr);
}

// A board that measured a run, as the journal has it.
void Teach(State& state, const std::string& device_id, double seconds_per_unit, double at) {
  v1::DeviceInfo device;
  device.set_device_id(device_id);
  device.set_device_class("board-a");
  v1::Receipt receipt;
  receipt.set_attempt_id("j1.1");
  *receipt.mutable_work()->mutable_signature() = scheduler::RowForTest("", 1).signature();
  receipt.mutable_work()->set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  receipt.mutable_work()->set_units(100);
  receipt.mutable_run()->set_seconds(100 * seconds_per_unit);
  v1::Event event;
  event.set_sequence(state.last_sequence.value() + 1);
  for (const v1::ProfileRow& row :
       scheduler::LearnFromReceipt(state.profiles, device, receipt, FromUnix(at))) {
    *event.mutable_profile_updated()->add_rows() = row;
  }
  ASSERT_EQ(event.profile_updated().rows_size(), 2);
  Apply(state, event, std::nullopt);
}

double SecondsOf(const State& state, const std::string& device_id) {
  const v1::ProfileRow* const row = state.profiles.FindLike(scheduler::RowForTest(device_id, 1));
  return row == nullptr ? 0 : row->seconds_per_unit().mean();
}

TEST_F(EnrolmentTest, WhatARevokedBoardTaughtCountsNoMore) {
  ASSERT_THAT(Enroll("thief", "ka", "ra").status, IsOk());
  Teach(state_, "honest", 1, kMadeAt - 10);
  Teach(state_, "thief", 0.1, kMadeAt - 5);
  State replayed = state_;
  ASSERT_LT(SecondsOf(state_, ""), 0.9);
  const Decision revoked = Do(RevokeIdentity{kDeviceKind, "thief", "stolen", "ann"});
  EXPECT_EQ(SecondsOf(state_, "thief"), 0);
  EXPECT_NEAR(SecondsOf(state_, ""), 1, 1e-9) << "its class is that of the others";
  EXPECT_NEAR(SecondsOf(state_, "honest"), 1, 1e-9);
  // Do uses a snapshot; a replay must give the same state.
  for (const v1::Event& event : revoked.events) {
    Apply(replayed, event, std::nullopt);
  }
  EXPECT_EQ(SnapshotBytes(replayed), SnapshotBytes(state_));
}

TEST_F(EnrolmentTest, WhatABoardTaughtBeforeItWasStolenGoesOnCounting) {
  ASSERT_THAT(Enroll("thief", "ka", "ra").status, IsOk());
  Teach(state_, "thief", 1, kMadeAt - 1000);
  Teach(state_, "thief", 0.1, kMadeAt - 5);
  Do(RevokeIdentity{kDeviceKind, "thief", "stolen", "ann", FromUnix(kMadeAt - 100)});
  EXPECT_NEAR(SecondsOf(state_, "thief"), 1, 1e-9);
  EXPECT_NEAR(SecondsOf(state_, ""), 1, 1e-9);
}

TEST_F(EnrolmentTest, ABoardThatThisJournalDoesNotKnowIsShutOutAfterARestore) {
  RevokeIdentity revoke{kDeviceKind, "later", "stolen", "ann"};
  EXPECT_THAT(Do(revoke).status, StatusIs(absl::StatusCode::kNotFound, HasSubstr("later")));
  revoke.also_unknown = true;
  ASSERT_THAT(Do(revoke).status, IsOk());
  EXPECT_TRUE(IsRevoked(state_, DeviceId("later")));
  EXPECT_FALSE(IsRevoked(state_, DeviceId("nobody")));
}

TEST(RevocationTest, WorkOfARevokedBoardGoesElsewhereAtOnceAndItsReportTeachesNothing) {
  Fleet fleet;
  PlaceFirst(fleet);
  Do(fleet.state, fleet.observations, RevokeIdentity{kDeviceKind, "device-1", "stolen", "ann"});
  const v1::Attempt& attempt = *FindAttempt(fleet.state, AttemptId("j1.1"));
  EXPECT_EQ(attempt.state(), v1::ATTEMPT_STATE_SUPERSEDED);
  EXPECT_THAT(attempt.reason(), HasSubstr("was revoked"));
  EXPECT_EQ(FindJob(fleet.state, JobId("j1"))->job().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(DescribeDevice(fleet.state, fleet.observations, DeviceId("device-1"), Now()).problem(),
            "orin was revoked: stolen; a new token lets it in again, 'wattle device rm orin' "
            "forgets it");
  const size_t rows = fleet.state.profiles.size();
  WorkerReport report = {DeviceId("device-1"), 1, {}};  // The report was on its way.
  report.report.set_sequence(1);
  v1::AttemptFinished& finished = *report.report.mutable_finished();
  finished.set_attempt_id("j1.1");
  finished.set_fencing_token(attempt.fencing_token());
  finished.mutable_output()->set_artifact_id(TinyModel().artifact_id());
  v1::WorkDone& work = *finished.mutable_receipt()->mutable_work();
  *work.mutable_signature() = scheduler::RowForTest("", 1).signature();
  work.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  work.set_units(100);
  finished.mutable_receipt()->mutable_run()->set_seconds(1);
  Do(fleet.state, fleet.observations, report);
  EXPECT_EQ(fleet.state.profiles.size(), rows);
}

TEST_F(EnrolmentTest, RevocationNamesSomebodyAndIsRepeatable) {
  EXPECT_THAT(Do(RevokeIdentity{kDeviceKind, "nobody", "", "ann"}).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nobody")));
  ASSERT_THAT(Enroll("a", "ka", "ra").status, IsOk());
  EXPECT_EQ(Do(RevokeIdentity{kDeviceKind, "a", "", "ann"}).events.size(), 1U);
  EXPECT_EQ(Do(RevokeIdentity{kDeviceKind, "a", "", "ann"}).events.size(), 0U);
  EXPECT_THAT(Do(RevokeToken{"t1", "ann"}).status, IsOk());
  EXPECT_THAT(Enroll("b", "kb", "rb").status,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("was revoked")));
  const Decision again = Do(RevokeToken{"t1", "ann"});
  EXPECT_THAT(again.status, StatusIs(absl::StatusCode::kAlreadyExists,
                                     HasSubstr("the token t1 was revoked already")));
  EXPECT_TRUE(again.events.empty());
  EXPECT_THAT(Do(RevokeToken{"t9", "ann"}).status,
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_F(EnrolmentTest, AServicesTokenIsGoodUntilItExpiresOrIsRevoked) {
  v1::EnrolmentToken token;
  token.set_token_id("s1");
  token.set_secret_sha256("hash");
  token.set_kind(kServiceKind);
  token.set_person("prometheus");
  token.set_expires_unix_seconds(kMadeAt + 60);
  Do(CreateTokens{{token}});
  const auto check = [&](const std::string& id, const std::string& hash) {
    return CheckServiceToken(state_, id, hash, FromUnix(now_));
  };
  now_ = kMadeAt + 59;
  ASSERT_THAT(check("s1", "hash"), IsOk());
  EXPECT_EQ(*check("s1", "hash"), "prometheus");
  for (const auto& [id, hash] : {std::pair("s1", "hasj"), std::pair("s1", ""),
                                 std::pair("s2", "hash"), std::pair("s1", "hash2")}) {
    EXPECT_THAT(check(id, hash), StatusIs(absl::StatusCode::kUnauthenticated,
                                          HasSubstr("is none that this coordinator made")));
  }
  EXPECT_THAT(check("t1", "secret"),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("t1 is a device's")));
  now_ = kMadeAt + 60;
  EXPECT_THAT(check("s1", "hash"), StatusIs(absl::StatusCode::kUnauthenticated,
                                            HasSubstr("s1 of prometheus expired at 2027-01-15")));
  now_ = kMadeAt;
  EXPECT_THAT(Do(RevokeToken{"s1", "otto"}).status,
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("token s1: is a service's, which an admin ends")));
  EXPECT_THAT(check("s1", "hash"), IsOk());
  EXPECT_THAT(Do(RevokeToken{"s1", "ann", /*by_admin=*/true}).status, IsOk());
  EXPECT_THAT(check("s1", "hash"), StatusIs(absl::StatusCode::kUnauthenticated,
                                            HasSubstr("s1 of prometheus was revoked")));
}

TEST_F(EnrolmentTest, AServicesTokenEnrolsNobody) {
  v1::EnrolmentToken token;
  token.set_token_id("s1");
  token.set_secret_sha256("hash");
  token.set_kind(kServiceKind);
  token.set_person("prometheus");
  token.set_uses(1);
  token.set_expires_unix_seconds(kMadeAt + 60);
  Do(CreateTokens{{token}});
  Enrol command;
  command.secret_sha256 = "hash";
  command.identity.set_token_id("s1");
  command.identity.set_public_key_sha256("key");
  EXPECT_THAT(Do(command).status, StatusIs(absl::StatusCode::kPermissionDenied,
                                           HasSubstr("is a service's and enrols nobody")));
  EXPECT_EQ(FindIdentity(state_, kServiceKind, "prometheus"), nullptr);
}

TEST_F(EnrolmentTest, AnIdFitsIntoACertificatesName) {
  for (const char* id : {"", "a/b", "a b", "../x", "a:b", "\n"}) {
    EXPECT_THAT(Enroll(id, "k", "r").status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("device_id")));
  }
  EXPECT_THAT(CheckId("id", std::string(65, 'a')),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_THAT(CheckId("id", "d0123.X_y-z"), IsOk());
}

// The coordinator notices the end of the device's stream later, and still counts it as reachable.
TEST(RevocationTest, ARevokedDeviceGetsNoWorkWhileItStillLooksConnected) {
  Fleet fleet;
  PlaceFirst(fleet);
  Do(fleet.state, fleet.observations, RevokeIdentity{kDeviceKind, "device-1", "stolen", "otto"});
  EXPECT_EQ(FindAttempt(fleet.state, AttemptId("j1.1"))->state(), v1::ATTEMPT_STATE_SUPERSEDED);
  EXPECT_EQ(DesiredFor(fleet.state, DeviceId("device-1")).policies_size(), 0);
  const PlanComputed plan = ComputePlan(MakeSnapshot(fleet.state, fleet.observations, {}, Now()));
  ASSERT_EQ(plan.jobs.size(), 1U);
  Do(fleet.state, fleet.observations, plan);
  EXPECT_EQ(FindAttempt(fleet.state, AttemptId("j1.2")), nullptr);
}

// Another process sends a hello beside the board's own.
struct DoubledFleet : EnrolledFleet {
  DoubledFleet() : EnrolledFleet(/*approve=*/false) {
    rival.hello.mutable_device()->CopyFrom(FindDevice(state, device)->info());
    rival.hello.set_incarnation(1);
    rival.rival = "a worker at 10.0.0.7 is connected with it, and one at 10.0.0.9 says hello";
  }
  // Applies the events of a command that may be refused.
  Decision Try(const Command& command) {
    Decision decision = Decide(state, command, observations, Now());
    for (const v1::Event& event : decision.events) {
      Apply(state, event, Now().monotonic);
    }
    return decision;
  }
  [[nodiscard]] v1::Device View() const {
    return DescribeDevice(state, observations, device, Now());
  }

  const DeviceId device = DeviceId("device-1");
  WorkerHello rival;
};

TEST(DoubledTest, NeitherOfTwoProcessesHasWorkUntilTheOperatorDecides) {
  DoubledFleet fleet;
  EXPECT_THAT(fleet.Try(fleet.rival).events, testing::IsEmpty()) << "it may be the same board";
  fleet.rival.doubled = true;
  const Decision doubled = fleet.Try(fleet.rival);
  EXPECT_THAT(doubled.status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                       HasSubstr("at 10.0.0.7 is connected with it, and one at "
                                                 "10.0.0.9 says hello): most likely")));
  ASSERT_FALSE(doubled.events.empty());
  EXPECT_TRUE(doubled.events[0].has_device_doubled());
  EXPECT_EQ(FindAttempt(fleet.state, AttemptId("j1.1"))->state(), v1::ATTEMPT_STATE_SUPERSEDED);
  EXPECT_EQ(FindJob(fleet.state, JobId("j1"))->job().state(), v1::JOB_STATE_QUEUED)
      << "no job is lost";
  EXPECT_EQ(DesiredFor(fleet.state, fleet.device).assignments_size(), 0);
  EXPECT_TRUE(fleet.View().waits_for_approval());
  EXPECT_THAT(fleet.View().problem(), HasSubstr("wattle device approve orin"));
  EXPECT_THAT(fleet.View().problem(), HasSubstr("10.0.0.9"));
  EXPECT_THAT(fleet.Try(fleet.rival).events, testing::IsEmpty()) << "said once";
  // The next start still has it.
  fleet.state = *ParseSnapshot(SnapshotBytes(fleet.state));
  EXPECT_TRUE(WaitsForApproval(fleet.state, fleet.device));

  fleet.Try(ApproveDevice{fleet.device, "otto"});
  EXPECT_FALSE(fleet.View().waits_for_approval());
  EXPECT_EQ(fleet.View().problem(), "");
  EXPECT_FALSE(fleet.Try(fleet.rival).events.empty()) << "both still go on";
  fleet.Try(RevokeIdentity{kDeviceKind, "device-1", "copied", "otto"});
  EXPECT_TRUE(IsRevoked(fleet.state, fleet.device));
}

// Without TLS no device has a certificate, so no approval would be possible.
TEST(DoubledTest, ADeviceWithoutACertificateKeepsItsWork) {
  DoubledFleet fleet;
  fleet.state.identities = State().identities;
  fleet.rival.doubled = true;
  const Decision refused = fleet.Try(fleet.rival);
  EXPECT_THAT(refused.status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the first one stays")));
  EXPECT_THAT(refused.events, testing::IsEmpty());
}

}  // namespace
}  // namespace wattle::core
