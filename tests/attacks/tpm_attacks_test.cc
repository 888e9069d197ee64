// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A board whose key is in a TPM, here the emulator swtpm: whoever copies the card has no key, and
// the board serves others as any does.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/tls/private_file.h"
#include "base/tls/server_session.h"
#include "base/tls/tpm_key.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/peer.grpc.pb.h"
#include "worker/agent/link/peer_server.h"
#include "worker/agent/link/peer_sources.h"

namespace wattle::attacks {
namespace {

using testing::HasSubstr;
using testing::Not;

bool Shell(const std::string& command) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe,cert-env33-c): before any thread
  return std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;
}

// Two ports in a row that nobody has: swtpm's, and that of its control.
int FreePorts() {
  for (int port = 20'000 + getpid() % 20'000; port < 60'000; port += 2) {
    bool is_free = true;
    for (const int one : {port, port + 1}) {
      const int probe = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in own = {};
      own.sin_family = AF_INET;
      own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      own.sin_port = htons(static_cast<uint16_t>(one));
      is_free = is_free && bind(probe, reinterpret_cast<const sockaddr*>(&own), sizeof(own)) == 0;
      close(probe);
    }
    if (is_free) {
      return port;
    }
  }
  return 0;
}

class TpmAttacks : public rpc::ServerFixture {
 protected:
  ~TpmAttacks() override {
    if (!pid_file_.empty()) {
      Shell(absl::StrCat("kill $(cat ", pid_file_, ")"));
    }
  }

  // False: this machine has no emulator.
  bool StartTpm() {
    if (!Shell("command -v swtpm") || !Shell("ls /usr/lib/*/ossl-modules/tpm2.so")) {
      return false;
    }
    const int port = FreePorts();
    std::filesystem::create_directory(Path("tpm"));
    pid_file_ = Path("swtpm.pid");
    EXPECT_TRUE(Shell(
        absl::StrCat("swtpm socket --tpm2 --tpmstate dir=", Path("tpm"),
                     " --server type=tcp,port=", port, " --ctrl type=tcp,port=", port + 1,
                     " --flags not-need-init,startup-clear --daemon --pid file=", pid_file_)));
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody reads it meanwhile
    setenv("TPM2OPENSSL_TCTI", absl::StrCat("swtpm:port=", port).c_str(), 1);
    return true;
  }
  static absl::Status AskWhoIAm(const identity::Identity& identity, const std::string& address) {
    v1::WhoAmIResponse me;
    const auto channel =
        grpc::CreateChannel(address, identity::CredentialsOf(identity, Clock::Real()));
    return Call(*v1::AccessService::NewStub(channel), &v1::AccessService::Stub::WhoAmI,
                v1::WhoAmIRequest(), me);
  }

  static absl::Status AskForChunk(const std::string& address,
                                  const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    const auto stub = v1::PeerChunks::NewStub(grpc::CreateChannel(address, credentials));
    grpc::ClientContext context;
    rpc::SetDeadline(context);
    v1::PeerChunksRequest request;
    request.set_artifact_id(std::string(64, 'a'));
    request.add_sha256(std::string(32, 'b'));
    const auto reader = stub->GetChunks(&context, request);
    v1::Chunk chunk;
    while (reader->Read(&chunk)) {
    }
    return FromGrpc(reader->Finish());
  }

  std::string pid_file_;
};

TEST_F(TpmAttacks, ACopyOfTheCardHasNoKey) {
  if (!StartTpm()) {
    GTEST_SKIP() << "wants the Debian packages swtpm and tpm2-openssl";
  }
  const auto board =
      identity::Enroll(Path("board"), DeviceToken(), "device-a", identity::KeyPlace::kTpm);
  ASSERT_THAT(board, IsOk());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(Path("board"))) {
    const std::string text = *ReadWholeFile(entry.path().string());
    EXPECT_THAT(text, Not(HasSubstr("BEGIN PRIVATE KEY"))) << entry.path();
    EXPECT_THAT(text, Not(HasSubstr("BEGIN EC PRIVATE KEY"))) << entry.path();
  }
  EXPECT_TRUE(tls::IsTpmKey(*ReadWholeFile(Path("board/key.pem"))));
  // The board connects, from many threads at once, renews and serves its page.
  std::vector<std::thread> connections;
  for (int i = 0; i < 4; ++i) {
    connections.emplace_back([&] { EXPECT_THAT(AskWhoIAm(*board, server_->address()), IsOk()); });
  }
  for (std::thread& connection : connections) {
    connection.join();
  }
  const auto renewed = identity::Renew(*board, server_->address(), Clock::Real());
  ASSERT_THAT(renewed, IsOk());
  EXPECT_THAT(AskWhoIAm(*renewed, server_->address()), IsOk());
  EXPECT_THAT(tls::ServerContext::Open(identity::FilesOf(*renewed),
                                       tls::FixedRoots(authority_->roots_pem())),
              IsOk());
  EXPECT_FALSE(Shell(absl::StrCat("openssl pkey -in ", Path("board/key.pem"))))
      << "without the TPM the file opens nothing";
}

TEST_F(TpmAttacks, ItServesBoardsOfItsSiteByTheKeyOfTheTpm) {
  if (!StartTpm()) {
    GTEST_SKIP() << "wants the Debian packages swtpm and tpm2-openssl";
  }
  const auto board =
      identity::Enroll(Path("board"), DeviceToken(), "device-a", identity::KeyPlace::kTpm);
  ASSERT_THAT(board, IsOk());
  const auto server = agent::PeerServer::Start(
      {.listen = "127.0.0.1:0",
       .cache_directory = Path("cache"),
       .identity = *board,
       .check = [](const v1::CheckPeerRequest&) { return absl::Minutes(1); }});
  ASSERT_THAT(server, IsOk());
  (*server)->Serve(true);
  const auto other = identity::Enroll(Path("other"), DeviceToken(), "device-b");
  ASSERT_THAT(other, IsOk());
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      EXPECT_THAT(
          AskForChunk((*server)->addresses().front(), agent::PeerCredentials(*other, "device-a")),
          StatusIs(absl::StatusCode::kNotFound, testing::_))
          << "the handshake is done and the board was asked";
      EXPECT_THAT(
          AskForChunk((*server)->addresses().front(), agent::PeerCredentials(*other, "device-c")),
          StatusIs(absl::StatusCode::kUnavailable, testing::_))
          << "the key proves who it is";
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
}

TEST_F(TpmAttacks, AKeyInAFileIsNotTakenForOneOfATpm) {
  ASSERT_THAT(identity::Enroll(Path("board"), DeviceToken(), "device-a"), IsOk());
  EXPECT_THAT(identity::Enroll(Path("board"), DeviceToken(), "device-a", identity::KeyPlace::kTpm),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has a key in a file")));
}

}  // namespace
}  // namespace wattle::attacks
