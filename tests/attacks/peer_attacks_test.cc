// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards of one site that fetch from one another, and attacks on that: a board that lies, one that
// asks for what it was not sent for, a revoked one, a stranger. The coordinator, the boards'
// servers and their transfers are the real ones, over TLS.
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

#include "artifacts/manifest.h"
#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/tls/credentials.h"
#include "coordinator/rpc/testing/site_fixture.h"
#include "worker/agent/link/peer_server.h"
#include "worker/agent/link/peer_sources.h"
#include "worker/agent/link/transfers.h"

namespace wattle::attacks {
namespace {

using agent::PeerServer;
using testing::HasSubstr;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;

// Answers each chunk with other bytes.
class Liar final : public v1::PeerChunks::Service {
 public:
  grpc::Status GetChunks(grpc::ServerContext*, const v1::PeerChunksRequest* request,
                         grpc::ServerWriter<v1::Chunk>* writer) override {
    ++calls;
    v1::Chunk chunk;
    chunk.set_sha256(request->sha256(0));
    chunk.set_data("wrong");
    writer->Write(chunk);
    return grpc::Status::OK;
  }

  std::atomic<int> calls{0};
};

class PeerAttacks : public rpc::SiteFixture {
 protected:
  // A board's side: its cache, its transfers, what they counted, and its server.
  struct Side {
    absl::Mutex mutex;
    bool done ABSL_GUARDED_BY(mutex) = false;
    agent::FetchResult result ABSL_GUARDED_BY(mutex);
    int64_t peer_bytes ABSL_GUARDED_BY(mutex) = 0;
    int wrong ABSL_GUARDED_BY(mutex) = 0;
    std::unique_ptr<PeerServer> server;
    std::unique_ptr<agent::Transfers> transfers;  // ends first
  };

  identity::Identity IdentityOf(const std::string& id) {
    return *identity::Load(Path("device-" + id));
  }
  std::string CacheOf(const std::string& id) { return Path("cache-" + id); }

  Side& Start(const std::string& id) {
    auto& side = sides_[id];
    side = std::make_unique<Side>();
    agent::TransferCallbacks callbacks;
    callbacks.on_cache = [](const std::vector<std::string>&, int64_t) {};
    callbacks.on_link_bytes = [](const v1::LinkBytes&) {};
    callbacks.on_release_progress = [](int64_t, int64_t) {};
    callbacks.on_peer_bytes = [&side = *side](int64_t bytes) {
      absl::MutexLock lock(&side.mutex);
      side.peer_bytes += bytes;
    };
    callbacks.on_peers_wrong_bytes = [&side = *side] {
      absl::MutexLock lock(&side.mutex);
      ++side.wrong;
    };
    callbacks.on_release_fetched = [&side = *side](agent::FetchResult result) {
      absl::MutexLock lock(&side.mutex);
      side.result = std::move(result);
      side.done = true;
    };
    artifacts::DiskBudget budget;
    budget.directory = CacheOf(id);
    auto transfers = agent::Transfers::Open(
        server_->address(), identity::CredentialsOf(IdentityOf(id), Clock::Real()), budget,
        std::move(callbacks), [own = IdentityOf(id)](const std::string& device_id) {
          return agent::PeerCredentials(own, device_id);
        });
    EXPECT_THAT(transfers, IsOk());
    side->transfers = *std::move(transfers);
    return *side;
  }
  // Fetches the model as a worker does, and waits for the result.
  agent::FetchResult Fetch(Side& side) {
    side.transfers->FetchRelease(artifact_, {},
                                 [](const std::string&) { return absl::OkStatus(); });
    absl::MutexLock lock(&side.mutex);
    EXPECT_TRUE(side.mutex.AwaitWithTimeout(absl::Condition(&side.done), runtime::kPatience));
    side.done = false;
    return side.result;
  }
  static int64_t PeerBytes(Side& side) {
    absl::MutexLock lock(&side.mutex);
    return side.peer_bytes;
  }
  static int Wrong(Side& side) {
    absl::MutexLock lock(&side.mutex);
    return side.wrong;
  }
  // The board serves, asks the coordinator about each caller, and has announced itself.
  PeerServer& Serve(const std::string& id, const std::string& announced = "") {
    auto server = PeerServer::Start(
        {.listen = "127.0.0.1:0",
         .cache_directory = CacheOf(id),
         .identity = IdentityOf(id),
         .check = [this,
                   id](const v1::CheckPeerRequest& request) -> absl::StatusOr<absl::Duration> {
           v1::CheckPeerResponse response;
           const absl::Status checked =
               Call(*boards_[id].directory, &v1::PeerDirectory::Stub::Check, request, response);
           return checked.ok()
                      ? absl::StatusOr<absl::Duration>(absl::Seconds(response.valid_seconds()))
                      : checked;
         }});
    EXPECT_THAT(server, IsOk());
    PeerServer& serves = **server;
    servers_.push_back(*std::move(server));
    serves.Serve(true);
    Announce(id, announced.empty() ? serves.addresses().front() : announced);
    return serves;
  }
  void Announce(const std::string& id, const std::string& address) {
    v1::AnnouncePeerRequest request;
    request.add_addresses(address);
    v1::AnnouncePeerResponse response;
    EXPECT_THAT(Call(*boards_[id].directory, &v1::PeerDirectory::Stub::Announce, request, response),
                IsOk());
  }
  // `id` asks the coordinator for its turn, and gets one of the boards that serve.
  void SendTo(const std::string& id) {
    v1::FindPeersRequest request;
    request.set_artifact_id(artifact_);
    v1::FindPeersResponse response;
    ASSERT_THAT(Call(*boards_[id].directory, &v1::PeerDirectory::Stub::Find, request, response),
                IsOk());
    ASSERT_EQ(response.turn(), v1::FindPeersResponse::TURN_PEERS);
  }
  // One call at the server of `server_id`.
  static absl::Status GetChunk(const PeerServer& server,
                               const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                               const std::string& artifact, const std::string& sha256) {
    const auto stub =
        v1::PeerChunks::NewStub(grpc::CreateChannel(server.addresses().front(), credentials));
    grpc::ClientContext context;
    rpc::SetDeadline(context);
    v1::PeerChunksRequest request;
    request.set_artifact_id(artifact);
    request.add_sha256(sha256);
    const auto reader = stub->GetChunks(&context, request);
    v1::Chunk chunk;
    while (reader->Read(&chunk)) {
    }
    return FromGrpc(reader->Finish());
  }
  std::string FirstChunk() {
    return artifacts::Sha256(std::string(artifacts::kChunkSizeBytes, 'w')).value();
  }

  std::vector<std::unique_ptr<PeerServer>> servers_;
  std::map<std::string, std::unique_ptr<Side>> sides_;
};

TEST_F(PeerAttacks, WhatABoardOfTheSiteHasCrossesTheLinkOnce) {
  for (const char* id : {"a", "b", "c"}) {
    Join(id, "barn");
  }
  LeaseModel();
  Side& a = Start("a");
  PeerServer& served = Serve("a");
  const agent::FetchResult first = Fetch(a);
  EXPECT_THAT(first.status, IsOk());
  EXPECT_EQ(first.moved_bytes, int64_t{kModelBytes});
  EXPECT_EQ(PeerBytes(a), 0);
  for (const char* id : {"b", "c"}) {
    Side& next = Start(id);
    const agent::FetchResult result = Fetch(next);
    EXPECT_THAT(result.status, IsOk());
    EXPECT_EQ(result.moved_bytes, 0) << "nothing over the link to the coordinator";
    EXPECT_EQ(PeerBytes(next), int64_t{kModelBytes});
  }
  EXPECT_EQ(served.served_bytes(), 2 * int64_t{kModelBytes});
}

TEST_F(PeerAttacks, ABoardThatLiesIsLeftAndTheFetchEndsRight) {
  Join("a", "barn");
  Join("b", "barn");
  LeaseModel();
  EXPECT_THAT(Fetch(Start("a")).status, IsOk());
  Liar liar;
  int port = 0;
  grpc::ServerBuilder builder;
  const tls::CertificateFiles own = identity::FilesOf(IdentityOf("a"));
  grpc::SslServerCredentialsOptions shown;
  shown.pem_key_cert_pairs.push_back(
      {*ReadWholeFile(own.key_path), *ReadWholeFile(own.chain_path)});
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(shown), &port);
  builder.RegisterService(&liar);
  const auto server = builder.BuildAndStart();
  Announce("a", absl::StrCat("127.0.0.1:", port));
  Side& b = Start("b");
  const agent::FetchResult result = Fetch(b);
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(result.moved_bytes, int64_t{kModelBytes});
  EXPECT_EQ(PeerBytes(b), 0);
  EXPECT_EQ(Wrong(b), 1);
  EXPECT_EQ(liar.calls, 1) << "it is asked once";
}

TEST_F(PeerAttacks, ABoardAtTheAddressOfAnotherOneIsNotAsked) {
  for (const char* id : {"a", "b", "thief"}) {
    Join(id, "barn");
  }
  LeaseModel();
  EXPECT_THAT(Fetch(Start("a")).status, IsOk());
  EXPECT_THAT(Fetch(Start("thief")).status, IsOk());
  PeerServer& thief = Serve("thief");
  v1::AnnouncePeerRequest none;
  v1::AnnouncePeerResponse told;
  ASSERT_THAT(Call(*boards_["thief"].directory, &v1::PeerDirectory::Stub::Announce, none, told),
              IsOk());
  Announce("a", thief.addresses().front());
  Side& b = Start("b");
  const agent::FetchResult result = Fetch(b);
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(result.moved_bytes, int64_t{kModelBytes}) << "the coordinator sent it";
  EXPECT_EQ(thief.served_bytes(), 0);
}

TEST_F(PeerAttacks, KnowingAHashGivesNothing) {
  for (const char* id : {"a", "b", "c"}) {
    Join(id, "barn");
  }
  LeaseModel();
  EXPECT_THAT(Fetch(Start("a")).status, IsOk());
  PeerServer& a = Serve("a");
  const auto of_c = agent::PeerCredentials(IdentityOf("c"), "a");
  EXPECT_THAT(GetChunk(a, of_c, artifact_, FirstChunk()),
              StatusIs(kDenied, HasSubstr("was not sent to this board")))
      << "it may read the artifact at the coordinator, and was not sent here";
  SendTo("b");
  EXPECT_THAT(GetChunk(a, of_c, artifact_, FirstChunk()), StatusIs(kDenied, testing::_));
  const auto of_b = agent::PeerCredentials(IdentityOf("b"), "a");
  EXPECT_THAT(GetChunk(a, of_b, artifact_, FirstChunk()), IsOk());
  EXPECT_THAT(GetChunk(a, of_b, std::string(64, 'a'), FirstChunk()),
              StatusIs(kDenied, HasSubstr("was not sent to this board")))
      << "sent for another artifact";
  EXPECT_THAT(GetChunk(a, of_b, artifact_, std::string(32, 'x')),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("has none such")))
      << "a chunk of another artifact";
  EXPECT_EQ(a.served_bytes(), artifacts::kChunkSizeBytes);
}

TEST_F(PeerAttacks, PeopleAndStrangersGetNothing) {
  Join("a", "barn");
  LeaseModel();
  EXPECT_THAT(Fetch(Start("a")).status, IsOk());
  PeerServer& a = Serve("a");
  const identity::Identity ann = *identity::Load(Path("person-ann"));
  const auto as_person =
      tls::ChannelCredentials(identity::FilesOf(ann), {.roots = identity::RootsOf(ann),
                                                       .uri = IdentityOf("a").uri,
                                                       .now = [] { return Clock::Real().Now(); }});
  EXPECT_THAT(GetChunk(a, as_person, artifact_, FirstChunk()),
              StatusIs(kDenied, HasSubstr("of no board of this fleet")));
  EXPECT_EQ(a.served_bytes(), 0);
}

TEST_F(PeerAttacks, ARevokedBoardGetsNothing) {
  Join("a", "barn");
  Join("b", "barn");
  LeaseModel();
  EXPECT_THAT(Fetch(Start("a")).status, IsOk());
  PeerServer& a = Serve("a");
  SendTo("b");
  core::RevokeIdentity revoke;
  revoke.kind = core::kDeviceKind;
  revoke.id = "b";
  revoke.by = "ann";
  ASSERT_THAT(runtime_->PostAndWait(revoke, runtime::kPatience).status, IsOk());
  EXPECT_THAT(GetChunk(a, agent::PeerCredentials(IdentityOf("b"), "a"), artifact_, FirstChunk()),
              StatusIs(kDenied, HasSubstr("may not have artifact")));
  EXPECT_EQ(a.served_bytes(), 0);
}

TEST_F(PeerAttacks, ABoardThatKeepsItsEnergyServesNobody) {
  Join("a", "barn");
  Join("b", "barn");
  LeaseModel();
  EXPECT_THAT(Fetch(Start("a")).status, IsOk());
  PeerServer& a = Serve("a");
  a.Serve(false);
  Side& b = Start("b");
  const agent::FetchResult result = Fetch(b);
  EXPECT_THAT(result.status, IsOk());
  EXPECT_EQ(result.moved_bytes, int64_t{kModelBytes});
  EXPECT_EQ(a.served_bytes(), 0);
}

// A coordinator of before the directory.
class PlainCoordinator final : public v1::PeerDirectory::Service {};

TEST(OlderCoordinatorTest, AnOlderCoordinatorMeansAPlainFetch) {
  PlainCoordinator service;  // All its methods answer UNIMPLEMENTED, as does a server without it.
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  const auto stub = v1::PeerDirectory::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  agent::PeerSources sources({.directory = stub.get(), .cancelled = [] { return false; }});
  grpc::ClientContext context;
  EXPECT_EQ(sources.Open(ArtifactId(std::string(64, 'a')), {}, context), nullptr);
}

}  // namespace
}  // namespace wattle::attacks
