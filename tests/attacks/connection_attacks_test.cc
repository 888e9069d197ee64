// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks on the gRPC port by whoever reaches it and never says who he is: many connections, bytes
// that are no handshake, handshakes that stop. The attacker calls from 127.0.0.2.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/transfer/transfer.h"
#include "base/http/testing/raw_connection_for_test.h"
#include "base/testing/status_matchers.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::attacks {
namespace {

constexpr in_addr_t kAttacker = 0x7f000002;  // 127.0.0.2
constexpr int kShare = 32;
// The begin of a ClientHello, of which the rest does not come.
constexpr char kHalfHello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

// gRPC logs each connection that it gives up.
const bool kQuiet = setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0) == 0;

class ConnectionAttacks : public rpc::ServerFixture {
 protected:
  ConnectionAttacks() {
    adjust_server_ = [](rpc::ServerOptions& options) {
      options.connections_per_address = kShare;
      options.handshake_patience = absl::Hours(1);  // No slow machine ends a silent connection.
    };
    End();
    Begin();
  }

  void SetUp() override { ASSERT_TRUE(kQuiet); }

  std::unique_ptr<http::RawConnection> Connection(absl::string_view bytes) {
    auto connection = std::make_unique<http::RawConnection>(server_->address(), kAttacker);
    connection->Send(bytes);
    return connection;
  }
  absl::Status AskWhoIAm(const std::string& person) {
    v1::WhoAmIResponse me;
    return Call(*v1::AccessService::NewStub(PersonChannel(person, "viewer")),
                &v1::AccessService::Stub::WhoAmI, v1::WhoAmIRequest(), me);
  }
};

TEST_F(ConnectionAttacks, AnAddressHasItsShareAndNoMore) {
  std::vector<std::unique_ptr<http::RawConnection>> silent;
  for (int i = 0; i < kShare + 1; ++i) {
    silent.push_back(Connection(""));
  }
  // Two threads accept, so that the connection one too many need not be the latest.
  const auto is_closed = [](const auto& connection) { return !connection->IsUnanswered(); };
  auto refused = silent.end();
  for (int i = 0; i < 10'000 && refused == silent.end(); ++i) {
    silent.back()->AwaitClosing(absl::Milliseconds(10));
    refused = std::find_if(silent.begin(), silent.end(), is_closed);
  }
  ASSERT_NE(refused, silent.end());
  EXPECT_EQ((*refused)->ReadToEnd(), "");
  silent.erase(refused);
  EXPECT_EQ(limits_->refusals().connections, 1);
  EXPECT_EQ(std::count_if(silent.begin(), silent.end(), is_closed), 0) << "those let in stay";
  EXPECT_THAT(AskWhoIAm("sam"), IsOk()) << "another address has a share of its own";
  // A connection that ends makes room, once the server has noticed the end.
  silent.pop_back();
  bool let_in = false;
  for (int i = 0; i < 10'000 && !let_in; ++i) {
    const auto again = Connection("");
    again->AwaitClosing(absl::Milliseconds(10));
    let_in = again->IsUnanswered();
  }
  EXPECT_TRUE(let_in);
}

TEST_F(ConnectionAttacks, TenThousandConnectionsOfGarbageDoNotDisturbAJob) {
  const auto artifacts = v1::ArtifactService::NewStub(channel_);
  std::ofstream(Path("weights"), std::ios::binary) << "weights";
  ASSERT_THAT(artifacts::Push(*artifacts, Path("weights"), runtime::ModelInfoOf("tiny")), IsOk());
  rpc::HandWorker worker(DeviceChannel(), runtime::HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  std::vector<std::unique_ptr<http::RawConnection>> held;
  for (int i = 0; i < 10'000; ++i) {
    auto connection = Connection(i % 2 == 0 ? "GET / HTTP/1.1\r\n\r\n" : kHalfHello);
    if (held.size() < 2 * kShare) {
      held.push_back(std::move(connection));
    }
    if (i == 5'000) {
      v1::SubmitJobRequest submit;
      *submit.mutable_spec() = runtime::GenerateSpecOf("tiny");
      submit.set_idempotency_key("beside");
      v1::SubmitJobResponse submitted;
      ASSERT_THAT(Call(*v1::JobService::NewStub(channel_), &v1::JobService::Stub::SubmitJob, submit,
                       submitted),
                  IsOk());
    }
  }
  EXPECT_GT(limits_->refusals().connections, 0);
  v1::Assignment assignment;
  ASSERT_TRUE(worker.ReadUntilAssigned(assignment)) << "the job reaches its board";
  EXPECT_THAT(AskWhoIAm("sam"), IsOk());
}

TEST_F(ConnectionAttacks, AHandshakeThatStopsIsGivenUp) {
  adjust_server_ = [](rpc::ServerOptions& options) {
    options.handshake_patience = absl::Milliseconds(300);
  };
  End();
  Begin();
  std::vector<std::unique_ptr<http::RawConnection>> stopped;
  for (int i = 0; i < 300; ++i) {
    stopped.push_back(Connection(i % 2 == 0 ? "" : kHalfHello));
  }
  EXPECT_THAT(AskWhoIAm("sam"), IsOk());
  for (const auto& connection : stopped) {
    EXPECT_EQ(connection->ReadToEnd(), "");
  }
}

}  // namespace
}  // namespace wattle::attacks
