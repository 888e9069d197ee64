// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Exchange of artifacts with other boards of the site.
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"

#include "base/status_macros.h"
#include "identity/identity.h"
#include "worker/agent/agent.h"
#include "worker/agent/link/peer_sources.h"

namespace wattle::agent {

PeerCredentialsSource Agent::PeerCredentialsOf() const {
  if (!credentials_->identity()) {
    return {};
  }
  return [own = *credentials_->identity()](const std::string& device_id) {
    return PeerCredentials(own, device_id);
  };
}

void Agent::AddPeerCallbacks(TransferCallbacks& callbacks) {
  callbacks.on_peer_bytes = [this](int64_t bytes) {
    Post([this, bytes](const Instant&) { peers_.fetched_bytes += bytes; });
  };
  callbacks.on_peers_wrong_bytes = [this] {
    Post([this](const Instant&) { ++peers_.wrong_boards; });
  };
  callbacks.on_note = [this](const std::string& line) { Note(line); };
}

PeerCounters Agent::PeersNow() const {
  PeerCounters now = peers_;
  now.served_bytes = peer_server_ == nullptr ? 0 : peer_server_->served_bytes();
  return now;
}

absl::Status Agent::OpenPeers() {
  if (config_.peer_listen.empty()) {
    return absl::OkStatus();
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string listen, PeerListenAddress(config_.peer_listen));
  WATTLE_ASSIGN_OR_RETURN(peer_server_,
                          PeerServer::Start({.listen = listen,
                                             .cache_directory = disk_->PathOf("cache"),
                                             .identity = *credentials_->identity(),
                                             .bytes_per_second = config_.peer_bytes_per_second,
                                             .check = [this](const v1::CheckPeerRequest& request) {
                                               return directory_link_->Check(request);
                                             }}));
  directory_link_ = std::make_unique<DirectoryLink>(coordinators_.front(), credentials_->channel(),
                                                    peer_server_->addresses());
  return absl::OkStatus();
}

}  // namespace wattle::agent
