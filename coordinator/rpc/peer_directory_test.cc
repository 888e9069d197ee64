// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/peer_directory.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/transfer/transfer.h"
#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/tls/certificate.h"
#include "coordinator/rpc/testing/site_fixture.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/peer.grpc.pb.h"

namespace wattle::rpc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Directory = v1::PeerDirectory::Stub;
using Found = v1::FindPeersResponse;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;

class PeerDirectoryTest : public SiteFixture {
 protected:
  absl::StatusOr<v1::FindPeersResponse> Ask(const std::string& id, const std::string& artifact,
                                            const std::vector<std::string>& avoid = {}) {
    v1::FindPeersRequest request;
    request.set_artifact_id(artifact);
    request.mutable_avoid_device_ids()->Add(avoid.begin(), avoid.end());
    v1::FindPeersResponse response;
    const absl::Status found = Call(*boards_[id].directory, &Directory::Find, request, response);
    return found.ok() ? absl::StatusOr<v1::FindPeersResponse>(response) : found;
  }
  v1::FindPeersResponse Find(const std::string& id, const std::vector<std::string>& avoid = {}) {
    const auto found = Ask(id, artifact_, avoid);
    EXPECT_THAT(found, IsOk());
    return found.value_or(v1::FindPeersResponse());
  }
  // Asks until the turn is this one: heartbeats and ends of streams come on their own way.
  bool AskUntil(const std::string& id, v1::FindPeersResponse::Turn turn) {
    const Monotonic begun = Clock::Real().Boottime();
    while (Clock::Real().Boottime() - begun < runtime::kPatience) {
      if (Find(id).turn() == turn) {
        return true;
      }
      absl::SleepFor(absl::Milliseconds(10));  // fewer calls than the coordinator allows
    }
    return false;
  }
  absl::Status Announce(const std::string& id, const std::vector<std::string>& addresses) {
    v1::AnnouncePeerRequest request;
    request.mutable_addresses()->Add(addresses.begin(), addresses.end());
    v1::AnnouncePeerResponse response;
    return Call(*boards_[id].directory, &Directory::Announce, request, response);
  }
  void TellCached(const std::string& id) {
    v1::Heartbeat heartbeat;
    heartbeat.add_cached_artifact_ids(artifact_);
    boards_[id].worker->Beat(heartbeat);
  }
  std::string KeyOf(const std::string& id) {
    const auto certificate = ReadWholeFile(Path(absl::StrCat("device-", id, "/certificate.pem")));
    return tls::ReadCertificate(*certificate)->public_key_sha256;
  }
  absl::Status Check(const std::string& server, const std::string& id, const std::string& key,
                     const std::string& artifact) {
    v1::CheckPeerRequest request;
    request.set_device_id(id);
    request.set_public_key_sha256(key);
    request.set_artifact_id(artifact);
    v1::CheckPeerResponse response;
    return Call(*boards_[server].directory, &Directory::Check, request, response);
  }
};

TEST_F(PeerDirectoryTest, TwoBoardsOfASiteFetchAtOnceAndTheNextOneWaits) {
  for (const char* id : {"a", "b", "c"}) {
    Join(id, "barn");
  }
  Join("d", "mast");
  Join("e", "");
  LeaseModel();
  EXPECT_EQ(Find("a").turn(), Found::TURN_GO);
  EXPECT_EQ(Find("b").turn(), Found::TURN_GO);
  const v1::FindPeersResponse third = Find("c");
  EXPECT_EQ(third.turn(), Found::TURN_WAIT);
  EXPECT_GT(third.wait_seconds(), 0);
  EXPECT_EQ(Find("d").turn(), Found::TURN_GO);
  EXPECT_EQ(Find("e").turn(), Found::TURN_GO);
  v1::EndFetchRequest end;
  end.set_artifact_id(artifact_);
  v1::EndFetchResponse ended;
  ASSERT_THAT(Call(*boards_["a"].directory, &Directory::EndFetch, end, ended), IsOk());
  EXPECT_EQ(Find("c").turn(), Found::TURN_GO);
}

TEST_F(PeerDirectoryTest, KnowingAnIdGivesNothing) {
  Join("a", "barn");
  EXPECT_THAT(Ask("a", std::string(64, 'a')),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("that this board shall run")));
  LeaseModel();
  Join("late", "barn");  // No job runs there.
  EXPECT_THAT(Ask("late", artifact_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("that this board shall run")));
}

TEST_F(PeerDirectoryTest, ABoardIsSentToOneThatHoldsTheArtifactWhileThatOneIsThere) {
  Join("a", "barn");
  Join("b", "barn");
  Join("far", "mast");
  LeaseModel();
  ASSERT_THAT(Announce("a", {"127.0.0.1:7500"}), IsOk());
  TellCached("a");
  ASSERT_TRUE(AskUntil("b", Found::TURN_PEERS));
  const v1::FindPeersResponse found = Find("b");
  ASSERT_EQ(found.peers_size(), 1);
  EXPECT_EQ(found.peers(0).device_id(), "a");
  EXPECT_THAT(found.peers(0).addresses(), ElementsAre("127.0.0.1:7500"));
  EXPECT_EQ(Find("far").turn(), Found::TURN_GO) << "another site";
  EXPECT_EQ(Find("b", {"a"}).turn(), Found::TURN_GO) << "it did not serve";
  ASSERT_TRUE(AskUntil("b", Found::TURN_PEERS));
  boards_["a"].worker.reset();
  EXPECT_TRUE(AskUntil("b", Found::TURN_GO)) << "its stream ended";
}

TEST_F(PeerDirectoryTest, ABoardThatServesNoMoreIsNotNamed) {
  Join("a", "barn");
  Join("b", "barn");
  LeaseModel();
  ASSERT_THAT(Announce("a", {"127.0.0.1:7500"}), IsOk());
  TellCached("a");
  ASSERT_TRUE(AskUntil("b", Found::TURN_PEERS));
  ASSERT_THAT(Announce("a", {}), IsOk());
  EXPECT_EQ(Find("b").turn(), Found::TURN_GO);
}

TEST_F(PeerDirectoryTest, AServingBoardLearnsOfBoardsThatWereSentToItAlone) {
  for (const char* id : {"a", "b", "c"}) {
    Join(id, "barn");
  }
  LeaseModel();
  ASSERT_THAT(Announce("a", {"127.0.0.1:7500"}), IsOk());
  TellCached("a");
  EXPECT_THAT(Check("a", "b", KeyOf("b"), artifact_),
              StatusIs(kDenied, HasSubstr("was not sent to this board")));
  ASSERT_TRUE(AskUntil("b", Found::TURN_PEERS));
  EXPECT_THAT(Check("a", "b", KeyOf("b"), artifact_), IsOk());
  EXPECT_THAT(Check("a", "b", KeyOf("b"), std::string(64, 'a')), StatusIs(kDenied, testing::_));
  EXPECT_THAT(Check("c", "b", KeyOf("b"), artifact_), StatusIs(kDenied, testing::_));
  EXPECT_THAT(Check("a", "c", KeyOf("c"), artifact_), StatusIs(kDenied, testing::_));
  EXPECT_THAT(Check("a", "b", KeyOf("c"), artifact_),
              StatusIs(kDenied, HasSubstr("may not have artifact")));
  core::RevokeIdentity revoke;
  revoke.kind = core::kDeviceKind;
  revoke.id = "b";
  revoke.by = "ann";
  ASSERT_THAT(runtime_->PostAndWait(revoke, runtime::kPatience).status, IsOk());
  EXPECT_THAT(Check("a", "b", KeyOf("b"), artifact_),
              StatusIs(kDenied, HasSubstr("may not have artifact")));
  EXPECT_THAT(Ask("b", artifact_), StatusIs(kDenied, HasSubstr("revoked")));
}

TEST_F(PeerDirectoryTest, AnnouncedAddressesAreNumbersOfThisBoardsNetwork) {
  Join("a", "barn");
  EXPECT_THAT(Announce("a", {"10.0.0.7:7500", "[fd00::7]:7500", "127.0.0.1:1"}), IsOk());
  for (const char* wrong : {"barn.local:7500", "10.0.0.7:0", "10.0.0.7", ""}) {
    EXPECT_THAT(Announce("a", {wrong}), StatusIs(absl::StatusCode::kInvalidArgument, testing::_))
        << wrong;
  }
  EXPECT_THAT(Announce("a", std::vector<std::string>(9, "10.0.0.7:7500")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 8")));
}

TEST_F(PeerDirectoryTest, WhatTheCoordinatorSendsCountsForTheTurn) {
  Join("a", "barn");
  Join("b", "barn");
  LeaseModel();
  ASSERT_THAT(Announce("a", {"127.0.0.1:7500"}), IsOk());
  EXPECT_EQ(Find("a").turn(), Found::TURN_GO);
  const double unknown_seconds = Find("b").wait_seconds();
  const auto cache = artifacts::FileCache::Open({.directory = Path("cache-of-a")}, Clock::Real());
  ASSERT_THAT(cache, IsOk());
  ASSERT_THAT(artifacts::Fetch(*v1::ArtifactService::NewStub(boards_["a"].channel),
                               ArtifactId(artifact_), **cache),
              IsOk());
  const v1::FindPeersResponse after = Find("b");
  EXPECT_EQ(after.turn(), Found::TURN_WAIT) << "it is to be told that the board has it";
  EXPECT_LT(after.wait_seconds(), unknown_seconds);
}

}  // namespace
}  // namespace wattle::rpc
