// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Ends TLS before a server of gRPC (docs/adr/0052-tls-before-grpc.md): accepts the connections of a
// port, demands a certificate of the fleet in the handshake of whoever wants HTTP/2, and passes the
// bytes on over a local socket, the client's through a FrameChecker. A client that speaks HTTP/1.1
// needs no certificate and is handed over to another server. A few threads serve all connections.
// Thread-safe.
#ifndef WATTLE_BASE_TLS_TERMINATOR_TLS_TERMINATOR_H_
#define WATTLE_BASE_TLS_TERMINATOR_TLS_TERMINATOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "base/tls/credentials.h"
#include "base/tls/server_session.h"
#include "base/tls_terminator/peer_table.h"

namespace wattle {

class TlsTerminator {
 public:
  struct Limits {
    int connections = 0;  // At once; 0: no limit, as in the next two.
    int connections_per_address = 0;
    int connections_per_identity = 0;
    absl::Duration handshake_patience = absl::Seconds(20);
    int threads = 2;
  };
  // Called on the terminator's threads; none may wait.
  struct Callbacks {
    // A local socket that speaks HTTP/2 without TLS. Whoever is called closes it.
    std::function<void(int socket)> on_http2;
    // A client without HTTP/2, after the handshake. Whoever is called closes the socket after the
    // session. Null: no such client is let in.
    std::function<void(int socket, std::unique_ptr<tls::ServerSession>)> on_http1 = nullptr;
    // A connection was closed because of a limit. share: see base/address_share.h.
    std::function<void(const std::string& share, const std::string& why)> on_refused =
        [](const std::string&, const std::string&) {};
    // A client wanted HTTP/2 and showed no certificate, which ended its handshake.
    std::function<void(const std::string& share)> on_stranger = [](const std::string&) {};
    // What a client sent ended its connection.
    std::function<void(const Peer&, const absl::Status&)> on_breach = [](const Peer&,
                                                                         const absl::Status&) {};
    // No connection can be accepted for now, or ever.
    std::function<void(const std::string& why)> on_problem = [](const std::string&) {};
  };

  // flag, address: see Listen. own, client_roots: see tls::ServerContext. Errors: theirs.
  static absl::StatusOr<std::unique_ptr<TlsTerminator>> Bind(const std::string& flag,
                                                             const std::string& address,
                                                             const tls::CertificateFiles& own,
                                                             tls::RootsSource client_roots,
                                                             const Limits& limits);
  // Ends what is left.
  ~TlsTerminator();
  TlsTerminator(const TlsTerminator&) = delete;
  TlsTerminator& operator=(const TlsTerminator&) = delete;

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] const PeerTable& peers() const { return peers_; }
  // Once.
  absl::Status Serve(Callbacks callbacks);
  // Accepts nobody any more; connections go on.
  void StopAccepting();

 private:
  class Counts;
  class Loop;

  TlsTerminator(int port, const Limits& limits);

  const int port_;
  const Limits limits_;
  PeerTable peers_;
  std::unique_ptr<tls::ServerContext> context_;
  std::unique_ptr<Counts> counts_;
  Callbacks callbacks_;
  std::unique_ptr<struct ListeningSockets> listening_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace wattle

#endif  // WATTLE_BASE_TLS_TERMINATOR_TLS_TERMINATOR_H_
