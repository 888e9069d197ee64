// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/peer_directory.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "artifacts/transfer/grpc_status.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/rpc/chunk_rights.h"
#include "coordinator/rpc/peer.h"
#include "coordinator/runtime/unknown_fields.h"

namespace wattle::rpc {
namespace {

constexpr char kService[] = "/wattle.v1.PeerDirectory/";
// The label by which boards share a link.
constexpr char kSiteLabel[] = "site";
constexpr int kAddressesMax = 8;
constexpr int kAvoidMax = 64;
constexpr absl::Duration kAnnounceAgain = absl::Minutes(5);
// How long a serving board may go on without asking again: so long a revoked board is served.
constexpr absl::Duration kCheckFor = absl::Minutes(1);

std::string SiteOf(const core::State& state, const DeviceId& board) {
  const v1::DeviceRecord* const record = core::FindDevice(state, board);
  if (record == nullptr) {
    return "";
  }
  for (const v1::Label& label : record->info().labels()) {
    if (label.key() == kSiteLabel) {
      return label.value();
    }
  }
  return "";
}

// Only numbers are allowed, because others would have to look up a name. A loopback address counts
// on this machine.
absl::Status CheckAddress(const std::string& text, const std::string& caller_host) {
  WATTLE_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort("addresses", text));
  const bool is_elsewhere = IsLoopback(address) && !IsLoopback({caller_host, 1});
  if (!IsIpAddress(address.host) || address.port == 0 || is_elsewhere) {
    return absl::InvalidArgumentError(absl::StrCat(
        "addresses: \"", text, "\": wanted IP:PORT, where boards of the site reach this one"));
  }
  return absl::OkStatus();
}

bool MayRead(const core::State& state, const std::string& board, const ArtifactId& artifact) {
  return ChunkRights::MayRead(state, {.scope = core::Scope::All(), .who = "", .device = board},
                              artifact);
}

}  // namespace

PeerDirectory::Read::Read(PeerDirectory& directory, std::string board)
    : directory_(directory), board_(std::move(board)) {
  absl::MutexLock lock(&directory_.mutex_);
  directory_.turns_.ReadBegan(board_, directory_.runtime_.Now().monotonic);
}

PeerDirectory::Read::~Read() {
  absl::MutexLock lock(&directory_.mutex_);
  directory_.turns_.ReadEnded(board_, directory_.runtime_.Now().monotonic);
}

void PeerDirectory::Read::Sent(int64_t bytes) {
  absl::MutexLock lock(&directory_.mutex_);
  directory_.turns_.Read(board_, bytes, directory_.runtime_.Now().monotonic);
}

absl::StatusOr<std::string> PeerDirectory::BoardOf(const grpc::ServerContext& context,
                                                   absl::string_view method) const {
  WATTLE_ASSIGN_OR_RETURN(const Caller caller, gate_.CallerOf(context));
  if (caller.kind == callers::kAnybody) {
    return std::string();
  }
  WATTLE_RETURN_IF_ERROR(
      gate_.Check(context, absl::StrCat(kService, method), {.device = caller.identity.id})
          .status());
  return caller.identity.id;
}

grpc::Status PeerDirectory::Announce(grpc::ServerContext* context,
                                     const v1::AnnouncePeerRequest* request,
                                     v1::AnnouncePeerResponse* response) {
  const auto announce = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const std::string board, BoardOf(*context, "Announce"));
    if (board.empty()) {
      return absl::FailedPreconditionError("boards without certificates serve one another nothing");
    }
    if (request->addresses_size() > kAddressesMax) {
      return absl::InvalidArgumentError(absl::StrCat("addresses: ", request->addresses_size(),
                                                     ", wanted at most ", kAddressesMax));
    }
    for (const std::string& address : request->addresses()) {
      WATTLE_RETURN_IF_ERROR(CheckAddress(address, gate_.HostOf(*context)));
    }
    absl::MutexLock lock(&mutex_);
    if (request->addresses().empty()) {
      announced_.erase(DeviceId(board));
    } else {
      announced_[DeviceId(board)] = {{request->addresses().begin(), request->addresses().end()},
                                     runtime_.Now().monotonic + 2 * kAnnounceAgain};
    }
    response->set_again_after_seconds(absl::ToDoubleSeconds(kAnnounceAgain));
    return absl::OkStatus();
  };
  return ToGrpc(announce());
}

std::vector<core::SiteTurns::Neighbour> PeerDirectory::NeighboursOf(
    const core::SiteTurns::Question& question, Monotonic now) {
  std::vector<DeviceId> serving;
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(announced_, [&](const auto& one) { return one.second.until < now; });
    for (const auto& [board, announced] : announced_) {
      serving.push_back(board);
    }
  }
  const auto state = runtime_.Version();
  std::vector<core::SiteTurns::Neighbour> neighbours;
  for (const DeviceId& board : serving) {
    const auto slot = runtime_.heartbeats().FindSlot(board);
    if (slot == nullptr || question.site.empty() || SiteOf(*state, board) != question.site) {
      continue;
    }
    core::DeviceObservation seen;
    uint64_t version = 0;
    slot->CopyIfNewer(version, seen);
    if (seen.connected) {
      const auto& cached = seen.heartbeat.cached_artifact_ids();
      neighbours.push_back({board, std::find(cached.begin(), cached.end(),
                                             question.artifact.value()) != cached.end()});
    }
  }
  return neighbours;
}

grpc::Status PeerDirectory::Find(grpc::ServerContext* context, const v1::FindPeersRequest* request,
                                 v1::FindPeersResponse* response) {
  const auto find = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const std::string board, BoardOf(*context, "Find"));
    if (board.empty()) {
      response->set_turn(v1::FindPeersResponse::TURN_GO);
      return absl::OkStatus();
    }
    if (request->avoid_device_ids_size() > kAvoidMax) {
      return absl::InvalidArgumentError(absl::StrCat(
          "avoid_device_ids: ", request->avoid_device_ids_size(), ", wanted at most ", kAvoidMax));
    }
    const auto state = runtime_.Version();
    core::SiteTurns::Question question = {.board = DeviceId(board),
                                          .site = SiteOf(*state, DeviceId(board)),
                                          .artifact = ArtifactId(request->artifact_id()),
                                          .coordinator_alone = request->coordinator_alone()};
    for (const std::string& avoided : request->avoid_device_ids()) {
      question.avoid.insert(DeviceId(avoided));
    }
    WATTLE_ASSIGN_OR_RETURN(const Caller caller, gate_.CallerOf(*context));
    const std::string own_device = callers::OwnDeviceOf(caller, absl::StrCat(kService, "Find"));
    const v1::ArtifactInfo* const info = state->artifacts.Find(question.artifact);
    if (info == nullptr || !MayRead(*state, own_device, question.artifact)) {
      return absl::NotFoundError(absl::StrCat("artifact ", request->artifact_id(),
                                              ": no attempt that this board shall run uses it"));
    }
    question.size_bytes = info->size_bytes();
    const Monotonic now = runtime_.Now().monotonic;
    const std::vector<core::SiteTurns::Neighbour> neighbours = NeighboursOf(question, now);
    absl::MutexLock lock(&mutex_);
    const core::SiteTurns::Answer answer = turns_.Find(question, neighbours, now);
    if (answer.go) {
      response->set_turn(v1::FindPeersResponse::TURN_GO);
    } else if (answer.peer) {
      response->set_turn(v1::FindPeersResponse::TURN_PEERS);
      response->set_valid_seconds(absl::ToDoubleSeconds(core::SiteTurns::kSentFor));
      v1::Peer& peer = *response->add_peers();
      peer.set_device_id(answer.peer->value());
      for (const std::string& address : announced_[*answer.peer].addresses) {
        peer.add_addresses(address);
      }
    } else {
      response->set_turn(v1::FindPeersResponse::TURN_WAIT);
      response->set_wait_seconds(absl::ToDoubleSeconds(answer.wait));
    }
    return absl::OkStatus();
  };
  return ToGrpc(find());
}

absl::Status PeerDirectory::CheckBoard(const v1::CheckPeerRequest& request) const {
  const auto state = runtime_.Version();
  const v1::IdentityRecord* const identity =
      core::FindIdentity(*state, core::kDeviceKind, request.device_id());
  const bool is_out =
      identity != nullptr && (identity->revoked() || identity->waits_for_approval() ||
                              identity->public_key_sha256() != request.public_key_sha256());
  if (is_out || !MayRead(*state, request.device_id(), ArtifactId(request.artifact_id()))) {
    return absl::PermissionDeniedError(absl::StrCat(
        "device ", request.device_id(), ": may not have artifact ", request.artifact_id()));
  }
  return absl::OkStatus();
}

grpc::Status PeerDirectory::Check(grpc::ServerContext* context, const v1::CheckPeerRequest* request,
                                  v1::CheckPeerResponse* response) {
  const auto check = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const std::string server, BoardOf(*context, "Check"));
    {
      // First, so that a board learns nothing of boards that were not sent to it.
      absl::MutexLock lock(&mutex_);
      if (!turns_.WasSent(DeviceId(request->device_id()), DeviceId(server),
                          ArtifactId(request->artifact_id()), runtime_.Now().monotonic)) {
        return absl::PermissionDeniedError(absl::StrCat("device ", request->device_id(),
                                                        ": was not sent to this board for ",
                                                        "artifact ", request->artifact_id()));
      }
    }
    WATTLE_RETURN_IF_ERROR(CheckBoard(*request));
    response->set_valid_seconds(absl::ToDoubleSeconds(kCheckFor));
    return absl::OkStatus();
  };
  return ToGrpc(check());
}

grpc::Status PeerDirectory::EndFetch(grpc::ServerContext* context,
                                     const v1::EndFetchRequest* request, v1::EndFetchResponse*) {
  const auto end = [&]() -> absl::Status {
    WATTLE_RETURN_IF_ERROR(runtime::RefuseUnknownFields(*request));
    WATTLE_ASSIGN_OR_RETURN(const std::string board, BoardOf(*context, "EndFetch"));
    absl::MutexLock lock(&mutex_);
    turns_.Fetched(DeviceId(board), ArtifactId(request->artifact_id()), runtime_.Now().monotonic);
    return absl::OkStatus();
  };
  return ToGrpc(end());
}

}  // namespace wattle::rpc
