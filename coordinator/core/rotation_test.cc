// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/rotation.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/testing/fleet_for_test.h"

namespace wattle::core {
namespace {

using testing::ElementsAre;

const absl::Time kEnd = absl::FromUnixSeconds(1'802'592'000);

class RootsTest : public testing::Test {
 protected:
  RootsTest() {
    v1::EnrolmentToken token;
    token.set_token_id("t1");
    token.set_secret_sha256("secret");
    token.set_kind(kDeviceKind);
    token.set_uses(9);
    token.set_expires_unix_seconds(ToUnix(kEnd));
    Do(CreateTokens{{token}});
  }
  Decision Do(const Command& command) {
    Decision decision =
        Decide(state_, command, Observations(), {kEnd - absl::Hours(1), Monotonic()});
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, std::nullopt);
    }
    state_ = *ParseSnapshot(SnapshotBytes(state_));
    return decision;
  }
  void Enroll(const std::string& id, const std::string& root) {
    Enrol command;
    command.secret_sha256 = "secret";
    command.identity.set_id(id);
    command.identity.set_token_id("t1");
    command.identity.set_certificate_pem("certificate of " + id);
    command.identity.set_root_sha256(root);
    EXPECT_THAT(Do(command).status, IsOk());
  }
  std::vector<std::string> Under(const std::string& root) {
    return IdentitiesUnder(state_, root, [](const std::string& certificate) {
      return certificate == "certificate of of-before" ? "old" : "";
    });
  }

  State state_;
};

TEST_F(RootsTest, ARenewalMovesAnIdentityToTheRootThatSigned) {
  Enroll("a", "old");
  Enroll("b", "old");
  Enroll("of-before", "");  // By a version that recorded no root.
  Enroll("lost", "old");
  Do(RevokeIdentity{kDeviceKind, "lost", "stolen", "ann"});
  EXPECT_THAT(Under("old"), ElementsAre("device/a", "device/b", "device/of-before"));
  EXPECT_THAT(Do(RenewIdentity{kDeviceKind, "a", "new", kEnd}).status, IsOk());
  EXPECT_THAT(Do(RenewIdentity{kDeviceKind, "of-before", "new", kEnd}).status, IsOk());
  EXPECT_THAT(Under("old"), ElementsAre("device/b"));
  EXPECT_THAT(Under("new"), ElementsAre("device/a", "device/of-before"));
  EXPECT_EQ(FindIdentity(state_, kDeviceKind, "a")->not_after_unix_seconds(), ToUnix(kEnd));
}

TEST_F(RootsTest, ARevokedIdentityIsNotRenewedAndOneWithoutARecordGetsNone) {
  Enroll("lost", "old");
  Do(RevokeIdentity{kDeviceKind, "lost", "stolen", "ann"});
  EXPECT_THAT(Do(RenewIdentity{kDeviceKind, "lost", "new", kEnd}).status,
              StatusIs(absl::StatusCode::kPermissionDenied, testing::HasSubstr("was revoked")));
  const Decision unknown = Do(RenewIdentity{kDeviceKind, "stranger", "new", kEnd});
  EXPECT_THAT(unknown.status, IsOk());
  EXPECT_TRUE(unknown.events.empty());
  EXPECT_EQ(FindIdentity(state_, kDeviceKind, "stranger"), nullptr);
}

}  // namespace
}  // namespace wattle::core
