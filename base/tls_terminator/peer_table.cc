// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls_terminator/peer_table.h"

#include <utility>

#include "base/status_macros.h"
#include "base/tls/certificate.h"

namespace wattle {
namespace {

constexpr int kNameBytes = 16;
constexpr size_t kEndedMax = 4096;  // About 1 KiB each.

}  // namespace

absl::StatusOr<std::string> PeerTable::Add(Peer peer) {
  WATTLE_ASSIGN_OR_RETURN(std::string name, tls::RandomHex(kNameBytes));
  absl::MutexLock lock(&mutex_);
  peers_[name] = std::make_shared<const Peer>(std::move(peer));
  return name;
}

void PeerTable::Ended(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  ended_.push_back(name);
  if (ended_.size() > kEndedMax) {
    peers_.erase(ended_.front());
    ended_.pop_front();
  }
}

std::shared_ptr<const Peer> PeerTable::Find(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = peers_.find(name);
  return found == peers_.end() ? nullptr : found->second;
}

}  // namespace wattle
