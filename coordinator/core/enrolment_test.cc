// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/enrolment.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "coordinator/core/core.h"

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
    // What was decided is what a snapshot keeps.
    state_ = *ParseSnapshot(SnapshotBytes(state_));
    return decision;
  }
  Decision Enroll(const std::string& id, const std::string& key, const std::string& request,
                  const std::string& secret = "secret") {
    Enrol command;
    command.secret_sha256 = secret;
    command.identity.set_id(id);
    command.identity.set_token_id("t1");
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

TEST_F(EnrolmentTest, RevocationNamesSomebodyAndIsRepeatable) {
  EXPECT_THAT(Do(RevokeIdentity{kDeviceKind, "nobody", "", "ann"}).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nobody")));
  ASSERT_THAT(Enroll("a", "ka", "ra").status, IsOk());
  EXPECT_EQ(Do(RevokeIdentity{kDeviceKind, "a", "", "ann"}).events.size(), 1U);
  EXPECT_EQ(Do(RevokeIdentity{kDeviceKind, "a", "", "ann"}).events.size(), 0U);
  EXPECT_THAT(Do(RevokeToken{"t1", "ann"}).status, IsOk());
  EXPECT_THAT(Enroll("b", "kb", "rb").status,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("was revoked")));
  EXPECT_THAT(Do(RevokeToken{"t9", "ann"}).status,
              StatusIs(absl::StatusCode::kNotFound, testing::_));
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

}  // namespace
}  // namespace wattle::core
