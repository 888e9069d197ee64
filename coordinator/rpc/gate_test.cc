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
#include <grpcpp/security/credentials.h>

#include "base/tls/testing/strangers_credentials_for_test.h"
#include "base/tls_terminator/peer_table.h"
#include "coordinator/access/testing/expected_access_for_test.h"
#include "coordinator/rpc/testing/generic_call_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"

namespace wattle::rpc {
namespace {

using testing::HasSubstr;

class GateTest : public ServerFixture {};

TEST_F(GateTest, EveryMethodIsOpenToTheRolesThatAreWrittenAndToNobodyElse) {
  // By the column of access::Expected(). A service and a stranger have no certificate.
  const std::map<size_t, std::shared_ptr<grpc::Channel>> callers = {
      {0, PersonChannel("vera", "viewer")},
      {1, PersonChannel("sam", "submitter")},
      {2, PersonChannel("otto", "operator")},
      {3, channel_},
      {4, DeviceChannel()},
      {6, ChannelOf(Path("waiting"), ApprovalToken(), "waiting")}};
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
  const Outcome outcome = CallGeneric(channel_, "/wattle.v1.JobService/Nonsense", "");
  EXPECT_FALSE(outcome.status.ok());
  EXPECT_NE(outcome.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(GateTest, WhoeverShowsNoCertificateHasNoConnection) {
  const auto stranger =
      grpc::CreateChannel(server_->address(), tls::StrangersCredentials(authority_->roots_pem()));
  EXPECT_EQ(CallGeneric(stranger, "/wattle.v1.JobService/ListJobs", "").status.error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

// By it the gate knows who calls, so that no caller may choose it.
TEST_F(GateTest, WhoeverNamesAConnectionIsRefused) {
  for (const auto& local : {false, true}) {
    const auto stub = local ? v1::AccessService::NewStub(
                                  grpc::CreateChannel(absl::StrCat("unix:", Path("admin.sock")),
                                                      grpc::experimental::LocalCredentials(UDS)))
                            : v1::AccessService::NewStub(channel_);
    for (const bool names : {false, true}) {
      grpc::ClientContext context;
      SetDeadline(context);
      if (names) {
        context.AddMetadata(kConnectionField, std::string(32, '0'));
      }
      v1::WhoAmIResponse me;
      const grpc::Status status = stub->WhoAmI(&context, v1::WhoAmIRequest(), &me);
      EXPECT_EQ(status.error_code(),
                names ? grpc::StatusCode::UNAUTHENTICATED : grpc::StatusCode::OK)
          << status.error_message();
      EXPECT_EQ(me.kind(), names ? "" : local ? "local" : "person");
    }
  }
}

TEST_F(GateTest, MuchMetadataEndsTheCallAndNoMore) {
  const auto stub = v1::AccessService::NewStub(channel_);
  for (const auto& [bytes, code] : {std::pair(7'000, grpc::StatusCode::OK),
                                    std::pair(8'192, grpc::StatusCode::RESOURCE_EXHAUSTED)}) {
    grpc::ClientContext context;
    SetDeadline(context);
    context.AddMetadata("x", std::string(static_cast<size_t>(bytes), 'x'));
    v1::WhoAmIResponse me;
    EXPECT_EQ(stub->WhoAmI(&context, v1::WhoAmIRequest(), &me).error_code(), code) << bytes;
  }
}

TEST_F(GateTest, ARefusedCallerIsToldWhyAndWhoCanHelp) {
  const Outcome viewer =
      CallGeneric(PersonChannel("vera", "viewer"), "/wattle.v1.DeviceService/DrainDevice", "");
  EXPECT_THAT(viewer.status.error_message(),
              HasSubstr("vera has the role viewer; wanted: operator, admin; an admin gives roles"));
}

}  // namespace
}  // namespace wattle::rpc
