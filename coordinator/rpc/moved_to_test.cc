// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/moved_to.h"

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "coordinator/core/lineage.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"

namespace wattle::rpc {
namespace {

using testing::AllOf;
using testing::Eq;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr absl::Duration kPatienceHere = absl::Seconds(10);

// The fixture's server is the one at the new address; its authority is the copy of the old one's.
class MovedToTest : public ServerFixture {
 protected:
  [[nodiscard]] MovedTo Here() const {
    MovedTo to = {.address = server_->address()};
    runtime_->Read([&to](const core::State& state) {
      to.lineage_id = state.lineage_id;
      to.epoch = core::EpochOf(state);
    });
    return to;
  }
  absl::Status Check(const MovedTo& to, const authority::Authority* authority) {
    const std::string folder = Path("question");
    absl::Status checked = CheckMovedTo(to, authority, folder, kPatienceHere);
    EXPECT_FALSE(std::filesystem::exists(folder)) << "the key stays";
    return checked;
  }
};

TEST_F(MovedToTest, TheRestoredCopyIsRight) {
  EXPECT_THAT(Check(Here(), authority_.get()), IsOk());
}

TEST_F(MovedToTest, AnotherJournalIsRefused) {
  MovedTo to = Here();
  const std::string there = to.lineage_id;
  to.lineage_id = "00112233aabbccdd";
  EXPECT_THAT(
      Check(to, authority_.get()),
      StatusIs(absl::StatusCode::kInvalidArgument,
               Eq(absl::StrCat("--moved-to ", to.address,
                               ": the coordinator there writes another journal (lineage ", there,
                               ", here 00112233aabbccdd), and no worker stays with a stranger; "
                               "give the address of this one's restored copy"))));
}

TEST_F(MovedToTest, AnOlderEpochIsRefused) {
  MovedTo to = Here();
  to.epoch += 1;
  EXPECT_THAT(Check(to, authority_.get()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("stands at epoch 0 of this journal, and workers have seen "
                                       "epoch 1"),
                             HasSubstr("restore --epoch 2"))));
}

TEST_F(MovedToTest, AStrangersRootIsRefused) {
  const auto other = authority::Authority::Open(Path("other"), {}, Clock::Real());
  ASSERT_THAT(other, IsOk());
  EXPECT_THAT(Check(Here(), other->get()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(StartsWith(absl::StrCat("--moved-to ", server_->address(),
                                                     ": no worker of this fleet trusts who answers "
                                                     "there: ")),
                             HasSubstr("folder authority"), Not(HasSubstr("log in")))));
}

TEST_F(MovedToTest, WhereNobodyAnswersNothingIsKnown) {
  MovedTo to = Here();
  server_.reset();
  EXPECT_THAT(Check(to, authority_.get()),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("nobody there told which journal it writes")));
}

// A coordinator of an earlier release, whose answer has no lineage.
class SilentAboutItsJournal final : public v1::AccessService::Service {
 public:
  grpc::Status WhoAmI(grpc::ServerContext* /*context*/, const v1::WhoAmIRequest* /*request*/,
                      v1::WhoAmIResponse* /*response*/) override {
    return grpc::Status::OK;
  }
};

TEST_F(MovedToTest, AnEarlierReleaseTellsNothing) {
  SilentAboutItsJournal service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> earlier = builder.BuildAndStart();
  MovedTo to = Here();
  to.address = absl::StrCat("127.0.0.1:", port);
  EXPECT_THAT(Check(to, nullptr), StatusIs(absl::StatusCode::kUnavailable,
                                           HasSubstr("a release that does not tell it")));
}

}  // namespace
}  // namespace wattle::rpc
