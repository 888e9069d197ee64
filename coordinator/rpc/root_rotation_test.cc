// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A rotation of the fleet's root over real TLS, as boards and people see it.
#include "coordinator/rpc/root_rotation.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/rotation.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::rpc {
namespace {

using runtime::HelloOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RootRotationTest : public ServerFixture {
 protected:
  v1::GetAuthorityResponse Roots() {
    v1::GetAuthorityResponse roots;
    EXPECT_THAT(
        Call(*access_, &v1::AccessService::Stub::GetAuthority, v1::GetAuthorityRequest(), roots),
        IsOk());
    return roots;
  }
  v1::GetAuthorityResponse Rotate() {
    v1::GetAuthorityResponse roots;
    EXPECT_THAT(Call(*access_, &v1::AccessService::Stub::RotateAuthority,
                     v1::RotateAuthorityRequest(), roots),
                IsOk());
    return roots;
  }
  absl::Status Retire(bool force, v1::GetAuthorityResponse& roots) {
    v1::RetireAuthorityRequest request;
    request.set_force(force);
    return Call(*access_, &v1::AccessService::Stub::RetireAuthority, request, roots);
  }
  absl::Status Retire(bool force = false) {
    v1::GetAuthorityResponse roots;
    return Retire(force, roots);
  }
  std::shared_ptr<grpc::Channel> Dial(const identity::Identity& identity) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A handshake of its own.
    return grpc::CreateCustomChannel(server_->address(),
                                     identity::CredentialsOf(identity, Clock::Real()), arguments);
  }
  absl::Status WhoAmI(const identity::Identity& identity) {
    const auto stub = v1::AccessService::NewStub(Dial(identity));
    v1::WhoAmIResponse me;
    return Call(*stub, &v1::AccessService::Stub::WhoAmI, v1::WhoAmIRequest(), me);
  }
  // Until the server shows the certificate that it has had since the rotation or retirement.
  template <typename Done>
  static bool Eventually(Done done) {
    const absl::Time end = absl::Now() + runtime::kPatience;
    while (absl::Now() < end) {
      if (done()) {
        return true;
      }
    }
    return false;
  }
  identity::Identity Enrolled(const std::string& device) {
    return *identity::Enroll(Path("board-" + device), DeviceToken(), device);
  }
  identity::Identity Renewed(const identity::Identity& identity) {
    auto renewed = identity::Renew(identity, server_->address(), Clock::Real());
    EXPECT_THAT(renewed, IsOk());
    return *renewed;
  }
  // A copy from before the rotation, as a person who was away has it.
  identity::Identity CopyOf(const identity::Identity& identity, const std::string& name) {
    std::filesystem::copy(identity.folder, Path(name));
    return *identity::Load(Path(name));
  }

  const std::unique_ptr<v1::AccessService::Stub> access_ = v1::AccessService::NewStub(channel_);
};

TEST_F(RootRotationTest, RenewalMovesEveryoneAndThenTheOldRootGoes) {
  const identity::Identity board = Enrolled("device-a");
  const identity::Identity stolen = CopyOf(board, "stolen");
  Rotate();
  v1::GetAuthorityResponse roots = Roots();
  ASSERT_EQ(roots.roots_size(), 2);
  EXPECT_TRUE(roots.roots(0).signs());
  EXPECT_EQ(roots.roots(0).identities(), 0);
  EXPECT_THAT(roots.roots(1).identity_names(), ElementsAre("device/device-a", "person/ann"));
  EXPECT_THAT(WhoAmI(board), IsOk());
  EXPECT_THAT(Retire(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("2 certificates are under this root: "
                                           "device/device-a, person/ann; wait")));
  const identity::Identity renewed = Renewed(board);
  EXPECT_EQ(renewed.roots_pem, authority_->roots_pem());
  EXPECT_THAT(Roots().roots(1).identity_names(), ElementsAre("person/ann"));
  EXPECT_THAT(WhoAmI(renewed), IsOk());
  const identity::Identity ann = Renewed(*identity::Load(Path("person-ann")));
  EXPECT_THAT(Roots().roots(1).identity_names(), IsEmpty());
  EXPECT_EQ(Roots().roots(0).identities(), 2);
  ASSERT_THAT(Retire(), IsOk());
  EXPECT_EQ(Roots().roots_size(), 1);
  // Nobody had to enrol again, and the certificate of before is of no use.
  EXPECT_THAT(WhoAmI(renewed), IsOk());
  EXPECT_THAT(WhoAmI(ann), IsOk());
  EXPECT_THAT(WhoAmI(stolen), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  EXPECT_THAT(identity::Renew(stolen, server_->address(), Clock::Real()),
              StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

TEST_F(RootRotationTest, ABoardThatWasAwayRenewsAsLongAsItsRootIsTrusted) {
  const identity::Identity board = Enrolled("device-a");
  Rotate();
  // Its handshake with the new certificate tells it to renew.
  EXPECT_TRUE(Eventually([&] {
    EXPECT_THAT(WhoAmI(board), IsOk());
    return identity::Load(board.folder)->renewal_asked;
  }));
  const identity::Identity back = *identity::Load(board.folder);
  EXPECT_TRUE(identity::RenewalIsDue(back, absl::Now()));
  const identity::Identity renewed = Renewed(back);
  EXPECT_FALSE(identity::RenewalIsDue(renewed, absl::Now()));
  EXPECT_THAT(WhoAmI(renewed), IsOk());
  EXPECT_FALSE(identity::Load(board.folder)->renewal_asked);
}

TEST_F(RootRotationTest, AWorkersStreamEndsSoThatTheWorkerConnectsAnew) {
  HandWorker worker(DeviceChannel("device-a"), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  Rotate();
  const grpc::Status end = worker.FinishAsIs();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAUTHENTICATED);  // A worker makes a new channel.
  EXPECT_THAT(end.error_message(), HasSubstr("the fleet has a new root"));
}

TEST_F(RootRotationTest, TokensWorkWhileTheirRootIsTrusted) {
  const std::string before = DeviceToken();
  const std::string unused = DeviceToken();
  Rotate();
  EXPECT_THAT(identity::Enroll(Path("old-token"), before, "device-a"), IsOk());
  const std::string after = DeviceToken();
  absl::StatusOr<identity::Identity> enrolled;
  EXPECT_TRUE(Eventually([&] {
    enrolled = identity::Enroll(Path("new-token"), after, "device-b");
    return enrolled.ok();
  })) << enrolled.status();
  EXPECT_THAT(Roots().roots(1).identity_names(), Each("person/ann"));
  EXPECT_EQ(Roots().roots(0).identities(), 2);
  ASSERT_THAT(Retire(/*force=*/true), IsOk());
  absl::StatusOr<identity::Identity> refused;
  EXPECT_TRUE(Eventually([&] {
    refused = identity::Enroll(Path("late"), unused, "device-c");
    // For up to a second the handshake is still the one of before.
    return absl::IsUnavailable(refused.status());
  }));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("ask for a new token")));
}

TEST_F(RootRotationTest, ForceNamesWhomItLocksOutAndEndsTheirStreams) {
  HandWorker worker(DeviceChannel("device-a"), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  Rotate();
  EXPECT_THAT(Retire(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("device/device-a (name-of-device-a), person/ann; wait")))
      << "a person knows the board by its name";
  v1::GetAuthorityResponse roots;
  ASSERT_THAT(Retire(/*force=*/true, roots), IsOk());
  ASSERT_EQ(roots.roots_size(), 2);
  EXPECT_THAT(roots.roots(1).identity_names(), ElementsAre("device/device-a", "person/ann"));
  EXPECT_FALSE(worker.FinishAsIs().ok());
  EXPECT_EQ(Roots().roots_size(), 1);
}

TEST_F(RootRotationTest, ARestartKeepsBothRootsAndWhoIsLeft) {
  Enrolled("device-a");
  Rotate();
  const std::string roots = authority_->roots_pem();
  End();
  Begin();
  EXPECT_EQ(authority_->roots_pem(), roots);
  EXPECT_THAT(core::IdentitiesUnder(*runtime_->Version(), authority_->Roots()[1].sha256,
                                    [](const std::string&) { return std::string(); }),
              ElementsAre("device/device-a", "person/ann"));
}

TEST_F(RootRotationTest, ARootIsNamedByItsBeginning) {
  Rotate();
  v1::GetAuthorityResponse roots;
  v1::RetireAuthorityRequest request;
  request.set_force(true);
  request.set_root_sha256("abc");
  EXPECT_THAT(Call(*access_, &v1::AccessService::Stub::RetireAuthority, request, roots),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("first 8 hex digits")));
  request.set_root_sha256("abcd");
  EXPECT_THAT(Call(*access_, &v1::AccessService::Stub::RetireAuthority, request, roots),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("61626364")));
  request.set_root_sha256(Roots().roots(0).root_sha256().substr(0, 4));
  EXPECT_THAT(Call(*access_, &v1::AccessService::Stub::RetireAuthority, request, roots),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("this root signs")));
  request.set_root_sha256(Roots().roots(1).root_sha256().substr(0, 4));
  EXPECT_THAT(Call(*access_, &v1::AccessService::Stub::RetireAuthority, request, roots), IsOk());
}

}  // namespace
}  // namespace wattle::rpc
