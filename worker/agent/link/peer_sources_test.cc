// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whom a fetch asks, by what the coordinator answers and by how boards behave. Real boards are in
// tests/attacks/peer_attacks_test.cc.
#include "worker/agent/link/peer_sources.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Sends the caller to the first of `boards` that it does not avoid, and to the coordinator after.
class Directory final : public v1::PeerDirectory::Service {
 public:
  grpc::Status Find(grpc::ServerContext*, const v1::FindPeersRequest* request,
                    v1::FindPeersResponse* response) override {
    absl::MutexLock lock(&mutex);
    asked.push_back(*request);
    if (waits-- > 0) {
      response->set_turn(v1::FindPeersResponse::TURN_WAIT);
      response->set_wait_seconds(0.2);
      return grpc::Status::OK;
    }
    response->set_turn(v1::FindPeersResponse::TURN_GO);
    for (const std::string& board : boards) {
      const auto& avoided = request->avoid_device_ids();
      if (std::find(avoided.begin(), avoided.end(), board) == avoided.end() &&
          !request->coordinator_alone()) {
        response->set_turn(v1::FindPeersResponse::TURN_PEERS);
        response->set_valid_seconds(100);
        v1::Peer& peer = *response->add_peers();
        peer.set_device_id(board);
        peer.add_addresses("127.0.0.1:1");  // nobody serves there
        break;
      }
    }
    return grpc::Status::OK;
  }

  absl::Mutex mutex;
  std::vector<std::string> boards ABSL_GUARDED_BY(mutex);
  int waits ABSL_GUARDED_BY(mutex) = 0;
  std::vector<v1::FindPeersRequest> asked ABSL_GUARDED_BY(mutex);
};

class PeerSourcesTest : public testing::Test {
 protected:
  PeerSourcesTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&directory_);
    server_ = builder.BuildAndStart();
    stub_ = v1::PeerDirectory::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
    sources_ = std::make_unique<PeerSources>(
        PeerSources::Options{.directory = stub_.get(),
                             .credentials_of =
                                 [this](const std::string& device_id) {
                                   dialled_.push_back(device_id);
                                   return grpc::InsecureChannelCredentials();
                                 },
                             .cancelled = [this] { return cancelled_; },
                             .on_note = [this](const std::string& note) { notes_.push_back(note); },
                             .pause = absl::ZeroDuration()});
  }
  void Offer(std::vector<std::string> boards, int waits = 0) {
    absl::MutexLock lock(&directory_.mutex);
    directory_.boards = std::move(boards);
    directory_.waits = waits;
  }
  std::vector<v1::FindPeersRequest> Asked() {
    absl::MutexLock lock(&directory_.mutex);
    return directory_.asked;
  }
  // Whether a board is asked; its stream then ends as the test says.
  bool AsksBoard(const absl::Status& ends, size_t chunks_came) {
    grpc::ClientContext context;
    const artifacts::ChunkSources::Stream stream =
        sources_->Open(ArtifactId(std::string(64, 'a')), {}, context);
    if (stream == nullptr) {
      return false;
    }
    context.TryCancel();
    v1::Chunk chunk;
    while (stream->Read(&chunk)) {
    }
    (void)stream->Finish();
    sources_->Ended(ends, chunks_came);
    return true;
  }

  Directory directory_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::PeerDirectory::Stub> stub_;
  std::vector<std::string> dialled_;
  std::vector<std::string> notes_;
  bool cancelled_ = false;
  std::unique_ptr<PeerSources> sources_;
};

TEST_F(PeerSourcesTest, ABoardThatServesIsAskedOnAndOneCoordinatorsAnswerIsEnough) {
  Offer({"a"});
  for (int call = 0; call < 5; ++call) {
    EXPECT_TRUE(AsksBoard(absl::OkStatus(), 16));
  }
  EXPECT_THAT(Asked(), SizeIs(1));
  EXPECT_THAT(dialled_, ElementsAre("a"));
}

TEST_F(PeerSourcesTest, ABoardThatLiesIsAvoidedAtOnceAndAnotherOneIsAsked) {
  Offer({"liar", "b"});
  EXPECT_TRUE(AsksBoard(absl::DataLossError("changed on the way"), 3));
  EXPECT_TRUE(AsksBoard(absl::OkStatus(), 16));
  EXPECT_THAT(dialled_, ElementsAre("liar", "b"));
  EXPECT_THAT(Asked().back().avoid_device_ids(), ElementsAre("liar"));
  EXPECT_THAT(notes_, SizeIs(1));
}

TEST_F(PeerSourcesTest, ABoardThatFailsTwiceIsAvoided) {
  Offer({"a"});
  EXPECT_TRUE(AsksBoard(absl::UnavailableError("link broke"), 3));
  EXPECT_TRUE(AsksBoard(absl::UnavailableError("link broke"), 3));
  EXPECT_FALSE(AsksBoard(absl::OkStatus(), 0)) << "the coordinator is asked";
  EXPECT_THAT(dialled_, ElementsAre("a", "a"));
  EXPECT_FALSE(AsksBoard(absl::OkStatus(), 0));
  EXPECT_THAT(Asked(), SizeIs(3)) << "a turn at the coordinator lasts for the fetch";
}

TEST_F(PeerSourcesTest, ABoardThatDripsHoldsNoFetch) {
  Offer({"drips"});
  EXPECT_TRUE(AsksBoard(absl::DeadlineExceededError("2 min"), 4)) << "slow, and good enough";
  EXPECT_TRUE(AsksBoard(absl::DeadlineExceededError("2 min"), 3));
  EXPECT_FALSE(AsksBoard(absl::OkStatus(), 0));
}

TEST_F(PeerSourcesTest, WhoeverReachesNoBoardAsksForTheCoordinatorAlone) {
  Offer({"a", "b", "c", "d", "e", "f"});
  int calls = 0;
  while (AsksBoard(absl::UnavailableError("connection refused"), 0)) {
    ++calls;
  }
  EXPECT_EQ(calls, 8) << "four boards, two tries each";
  EXPECT_TRUE(Asked().back().coordinator_alone());
}

TEST_F(PeerSourcesTest, WhoeverIsToldToWaitAsksAgainAndSaysSoOnce) {
  Offer({}, /*waits=*/2);
  EXPECT_FALSE(AsksBoard(absl::OkStatus(), 0));
  EXPECT_THAT(Asked(), SizeIs(3));
  EXPECT_THAT(notes_, ElementsAre(testing::HasSubstr("waits while other boards")));
}

TEST_F(PeerSourcesTest, ACancelledFetchWaitsForNobody) {
  Offer({}, /*waits=*/1'000'000);
  cancelled_ = true;
  EXPECT_FALSE(AsksBoard(absl::OkStatus(), 0));
  EXPECT_THAT(Asked(), IsEmpty());
}

}  // namespace
}  // namespace wattle::agent
