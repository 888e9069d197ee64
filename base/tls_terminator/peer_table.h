// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who is at the other end of each connection that a TlsTerminator passes on, by a name that nobody
// can guess: it is the value of the field kConnectionField in each header block of the connection.
// Only what the terminator added has such a name, since no client learns one. Thread-safe.
#ifndef WATTLE_BASE_TLS_TERMINATOR_PEER_TABLE_H_
#define WATTLE_BASE_TLS_TERMINATOR_PEER_TABLE_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace wattle {

inline constexpr char kConnectionField[] = "wattle-connection";

// The peer that the handshake has proved.
struct Peer {
  std::string host;             // A numeric address, as PeerHost of coordinator/rpc has it.
  std::string certificate_pem;  // Leads to a root of the fleet; may have expired.
};

class PeerTable {
 public:
  // The name of a new connection. Errors: kInternal without entropy.
  absl::StatusOr<std::string> Add(Peer peer);
  // The connection has ended. Handlers of its latest calls may still ask who called: the peers of
  // the latest few thousand such connections stay known.
  void Ended(const std::string& name);
  // Null: there is no such connection.
  [[nodiscard]] std::shared_ptr<const Peer> Find(const std::string& name) const;

 private:
  mutable absl::Mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const Peer>> peers_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle

#endif  // WATTLE_BASE_TLS_TERMINATOR_PEER_TABLE_H_
