// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Every method of the port by every role, over real TLS, against the written expectation.
#include "coordinator/rpc/gate.h"

#include <map>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/access/testing/expected_access_for_test.h"
#include "coordinator/rpc/testing/generic_call_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"

namespace wattle::rpc {
namespace {

using testing::HasSubstr;

class GateTest : public ServerFixture {
 protected:
  // Without a certificate.
  std::shared_ptr<grpc::Channel> StrangersChannel() {
    return grpc::CreateChannel(server_->address(), tls::PinnedCredentials(authority_->pin()));
  }
};

TEST_F(GateTest, EveryMethodIsOpenToTheRolesThatAreWrittenAndToNobodyElse) {
  // By the column of access::Expected(). A service has no certificate yet.
  const std::map<size_t, std::shared_ptr<grpc::Channel>> callers = {
      {0, PersonChannel("vera", "viewer")},
      {1, PersonChannel("sam", "submitter")},
      {2, PersonChannel("otto", "operator")},
      {3, channel_},
      {4, DeviceChannel()},
      {6, ChannelOf(Path("waiting"), ApprovalToken(), "waiting")},
      {7, StrangersChannel()}};
  int cells = 0;
  for (const auto& [method, letters] : access::Expected()) {
    if (!absl::StartsWith(method, "/")) {
      continue;
    }
    for (const auto& [column, channel] : callers) {
      const grpc::Status status = CallGeneric(channel, method, "", 1).status;
      EXPECT_EQ(!IsRefusalOfGate(status, method), letters[column] != '-')
          << method << ", column " << column << ": " << status.error_message();
      ++cells;
    }
  }
  EXPECT_GT(cells, 200);
}

TEST_F(GateTest, AMethodThatDoesNotExistIsRefusedToo) {
  for (const auto& channel : {channel_, StrangersChannel()}) {
    const Outcome outcome = CallGeneric(channel, "/wattle.v1.JobService/Nonsense", "");
    EXPECT_FALSE(outcome.status.ok());
    EXPECT_NE(outcome.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  }
}

TEST_F(GateTest, ARefusedCallerIsToldWhyAndWhoCanHelp) {
  const Outcome stranger = CallGeneric(StrangersChannel(), "/wattle.v1.JobService/ListJobs", "");
  EXPECT_EQ(stranger.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(stranger.status.error_message(), HasSubstr("wattle login TOKEN"));
  const Outcome viewer =
      CallGeneric(PersonChannel("vera", "viewer"), "/wattle.v1.DeviceService/DrainDevice", "");
  EXPECT_THAT(viewer.status.error_message(),
              HasSubstr("vera has the role viewer; wanted: operator, admin; an admin gives roles"));
}

}  // namespace
}  // namespace wattle::rpc
