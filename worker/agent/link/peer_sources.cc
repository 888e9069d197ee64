// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/peer_sources.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "artifacts/transfer/grpc_status.h"
#include "base/tls/credentials.h"
#include "worker/agent/link/channel.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kAskLimit = absl::Seconds(20);
// The time limit of a call for 16 MiB at most. What came until then counts. A board that gives
// fewer chunks in this time is not asked again, because it could hold a fetch for ever.
constexpr absl::Duration kPeerCallLimit = absl::Minutes(2);
constexpr size_t kChunksMin = 4;  // 35 kB/s
// A board that fails so often is asked no more in this fetch.
constexpr int kFailuresMax = 2;
// After so many boards that did not serve, the site's network is taken for the reason.
constexpr size_t kAvoidedMax = 4;
constexpr absl::Duration kCancelLook = absl::Milliseconds(100);

void SetLimit(grpc::ClientContext& context, absl::Duration limit) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + limit));
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> PeerCredentials(const identity::Identity& own,
                                                          const std::string& device_id) {
  const std::string prefix = own.uri.substr(0, own.uri.rfind('/') + 1);
  return tls::ChannelCredentials(
      identity::FilesOf(own),
      {.roots = identity::RootsOf(own), .uri = absl::StrCat(prefix, device_id), .now = [own] {
         return std::max(Clock::Real().Now(), own.not_before);
       }});
}

PeerSources::PeerSources(Options options)
    : options_(std::move(options)), random_(std::random_device{}()) {}

void PeerSources::Wait(absl::Duration time) {
  // Forty boards that wait for the same moment do not ask in the same moment.
  const double share = std::uniform_real_distribution<double>(0.75, 1.25)(random_);
  const Monotonic until = Clock::Real().Boottime() + share * time;
  while (!options_.cancelled() && Clock::Real().Boottime() < until) {
    absl::SleepFor(std::min(kCancelLook, until - Clock::Real().Boottime()));
  }
}

void PeerSources::Dial() {
  stub_ = v1::PeerChunks::NewStub(
      MakeChannel(addresses_.front(), options_.credentials_of(peer_), ChannelUse::kPeer));
}

void PeerSources::UsePeer(const v1::Peer& peer, absl::Duration valid) {
  // Asks again well before the coordinator forgets that it has sent this board.
  valid_until_ = Clock::Real().Boottime() + 0.5 * valid;
  if (peer.device_id() == peer_ && stub_ != nullptr) {
    return;
  }
  peer_ = peer.device_id();
  addresses_ = {peer.addresses().begin(), peer.addresses().end()};
  if (addresses_.empty()) {
    DropPeer(/*for_good=*/true);
    return;
  }
  Dial();
}

void PeerSources::DropPeer(bool for_good) {
  if (for_good) {
    avoided_.insert(peer_);
  }
  peer_.clear();
  addresses_.clear();
  stub_.reset();
}

bool PeerSources::FindPeer(const ArtifactId& id) {
  v1::FindPeersRequest request;
  request.set_artifact_id(id.value());
  for (const std::string& device_id : avoided_) {
    request.add_avoid_device_ids(device_id);
  }
  request.set_coordinator_alone(avoided_.size() >= kAvoidedMax);
  v1::FindPeersResponse response;
  grpc::ClientContext context;
  SetLimit(context, kAskLimit);
  // An older coordinator does not know the call. Whatever else is wrong, the fetch itself tells.
  if (!options_.directory->Find(&context, request, &response).ok()) {
    coordinator_ = true;
    return false;
  }
  asked_ = true;
  if (response.turn() == v1::FindPeersResponse::TURN_PEERS && response.peers_size() > 0) {
    UsePeer(response.peers(0), absl::Seconds(response.valid_seconds()));
    return stub_ != nullptr;
  }
  if (response.turn() == v1::FindPeersResponse::TURN_WAIT) {
    if (!std::exchange(told_wait_, true)) {
      options_.on_note(absl::StrCat("artifact ", id.value().substr(0, 12),
                                    ": waits while other boards of the site fetch"));
    }
    Wait(absl::Seconds(std::clamp(response.wait_seconds(), 0.2, 300.0)));
    return false;
  }
  coordinator_ = true;
  return false;
}

artifacts::ChunkSources::Stream PeerSources::Open(const ArtifactId& id,
                                                  const std::vector<artifacts::ChunkId>& chunks,
                                                  grpc::ClientContext& context) {
  while (!coordinator_ && !options_.cancelled()) {
    const bool is_sent = stub_ != nullptr && Clock::Real().Boottime() < valid_until_;
    if (!is_sent && !FindPeer(id)) {
      continue;
    }
    v1::PeerChunksRequest request;
    request.set_artifact_id(id.value());
    for (const artifacts::ChunkId& chunk : chunks) {
      request.add_sha256(chunk.value());
    }
    SetLimit(context, kPeerCallLimit);
    return stub_->GetChunks(&context, request);
  }
  return nullptr;
}

void PeerSources::Ended(const absl::Status& status, size_t chunks_came) {
  if (absl::IsDataLoss(status)) {
    options_.on_note(absl::StrCat(
        "device ", peer_,
        ": sent wrong bytes of an artifact, and is asked no more: ", status.message()));
    options_.on_wrong_bytes();
    DropPeer(/*for_good=*/true);
    return;
  }
  const bool is_slow = absl::IsDeadlineExceeded(status) && chunks_came < kChunksMin;
  if (!is_slow && chunks_came > 0 && (status.ok() || absl::IsDeadlineExceeded(status))) {
    return;
  }
  if (absl::IsUnavailable(status) && chunks_came == 0 && addresses_.size() > 1) {
    addresses_.pop_front();
    Dial();
    return;
  }
  DropPeer(/*for_good=*/is_slow || ++failures_[peer_] >= kFailuresMax);
  Wait(options_.pause);
}

void PeerSources::EndFetch(const ArtifactId& id) {
  if (!asked_) {
    return;
  }
  v1::EndFetchRequest request;
  request.set_artifact_id(id.value());
  v1::EndFetchResponse response;
  grpc::ClientContext context;
  SetLimit(context, kAskLimit);
  // Without it the turn ends a minute later, and heartbeats tell what is in the cache.
  (void)options_.directory->EndFetch(&context, request, &response);
}

}  // namespace wattle::agent
