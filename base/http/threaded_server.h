// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The HTTP library's server with a thread for each connection. While the most connections are open,
// a new one takes the place of the connection whose request has kept the server waiting the
// longest: whoever drips bytes into many connections, or stops in the middle of the handshake of
// TLS, holds up nobody else. An address beyond its share only takes the place of its own
// connections. Thread-safe.
#ifndef WATTLE_BASE_HTTP_THREADED_SERVER_H_
#define WATTLE_BASE_HTTP_THREADED_SERVER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "httplib.h"

#include "base/http/connection_limits.h"
#include "base/tls/server_session.h"
#include "base/unique_descriptor.h"

namespace wattle::http {

// A connection whose handshake of TLS is complete.
struct Accepted {
  UniqueDescriptor socket;
  std::unique_ptr<tls::ServerSession> session;  // Ends before the socket is closed.
};

class ThreadedServer final : public httplib::Server {
 public:
  // context: null serves HTTP. Otherwise the server speaks HTTPS with it, and it must outlive the
  // server; Request::ssl is the request's connection, or null for a peer that spoke plain text and
  // needs an answer that says so.
  ThreadedServer(const ConnectionLimits& limits, tls::ServerContext* context);

  // The library listens with a backlog of five, beyond which the kernel drops new connections for a
  // second. To call once the server is bound.
  void WidenBacklog();

  // Serves a connection that another one accepted. May wait until a connection has left.
  void Take(Accepted accepted);
  // Ends the waits for peers; what is being answered is answered. Nobody comes in any more. Where
  // the server listens, the library calls it.
  void CloseAll();

  // How often an address had more connections than its share.
  [[nodiscard]] uint64_t crowded_total() const { return crowded_; }

 private:
  class Threads;
  struct Connection {
    int socket = -1;
    std::unique_ptr<tls::ServerSession> session = nullptr;  // The handshake was before; else none.
    std::string address;                                    // The peer's, by ShareOf.
    uint64_t request = 0;  // Grows with each request of the server.
    bool waits = false;    // For its peer.
    bool given_up = false;
  };
  using Place = std::list<Connection>::iterator;

  // The library calls this for each accepted connection, on the accepting thread.
  bool process_and_close_socket(int socket) override;
  // nullopt: the peer's address has its share, and all of them are being answered.
  std::optional<Place> Enter(int socket);
  bool Serve(Place connection);
  [[nodiscard]] size_t CountOf(const std::string& address) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Converse(Place connection);
  void Leave(Place connection);
  bool BeginRequest(Place connection);
  void SetWaits(Place connection, bool waits);
  // address: of the connections that may have to go; null: any. False: none of them waits.
  bool GiveUpOldest(const std::string* address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ConnectionLimits limits_;
  tls::ServerContext* const context_;
  absl::Mutex mutex_;
  absl::CondVar changed_;  // A connection has left or begins to wait.
  std::list<Connection> connections_ ABSL_GUARDED_BY(mutex_);
  uint64_t requests_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<uint64_t> crowded_ = 0;
};

// To call first where a request of an HTTPS port is answered: tells a peer that spoke plain text
// how to ask, and returns true. address: HOST:PORT, for a request that names no host.
bool RefusePlainText(const httplib::Request& request, const std::string& address,
                     httplib::Response& response);

}  // namespace wattle::http

#endif  // WATTLE_BASE_HTTP_THREADED_SERVER_H_
