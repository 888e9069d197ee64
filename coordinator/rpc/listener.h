// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Accepts the connections of the gRPC port, and closes those beyond an address's share before they
// cost a handshake. Accepts no more than can be served: 10,000 boards that come back at once would
// share the processor, so that none ended its handshake before it gave up. gRPC's own listener
// takes whoever comes. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_LISTENER_H_
#define WATTLE_COORDINATOR_RPC_LISTENER_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

#include "base/clock.h"
#include "base/unique_descriptor.h"
#include "coordinator/rpc/plain_text_answer.h"

namespace wattle::rpc {

// A socket, as long as it is open: a later one may have its number.
class SocketIdentity {
 public:
  explicit SocketIdentity(int socket);
  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] bool IsOpen() const;

 private:
  int socket_;
  bool known_ = false;  // With device and inode.
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Connections of the last seconds, of which the server may not have read what they sent: as long as
// it has not, the server is behind. One that stops in its handshake has nothing unread, so that it
// holds nobody up. One thread.
class NewConnections {
 public:
  void Add(int socket, Monotonic now);
  // Whether as many have sent something that nobody has read. Looks at the sockets only where the
  // latest look and those that came since may be as many.
  bool HasUnread(int most, Monotonic now);

 private:
  struct Connection {
    SocketIdentity socket;
    Monotonic since;
  };
  std::deque<Connection> connections_;  // By `since`.
  int unread_ = 0;                      // At the latest look, and those that came since.
};

// Which connections are open, by share. The one who serves them does not say when they end, so that
// the sockets are looked at where it matters. One thread.
class OpenConnections {
 public:
  // Whether the share has this many that are open.
  bool IsFull(const std::string& share, int most);
  // Whether this many are open in all.
  bool IsFull(int most);
  void Add(int socket, const std::string& share);

 private:
  struct Connection {
    SocketIdentity socket;
    std::string share;
  };
  using Place = std::map<int, Connection>::iterator;

  Place Forget(Place connection);
  // Those of the share, or all for an empty one.
  void ForgetClosed(const std::string& share);

  std::map<int, Connection> connections_;  // Key: the socket.
  std::map<std::string, int> count_;       // By share.
};

class Listener {
 public:
  struct Limits {
    int connections = 0;  // 0: as many as come. So are the next two.
    int connections_per_address = 0;
    int unread = 0;  // New connections that have sent something that the server has not read.
    std::function<void()> on_refused = [] {};
    bool tls = false;  // The server speaks TLS alone; who speaks without is answered here.
  };

  // Port 0: any free port. Errors: kUnavailable, without the address, where it is in use or not
  // this machine's.
  static absl::StatusOr<std::unique_ptr<Listener>> Bind(const std::string& address, Limits limits);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] int port() const { return port_; }
  // take: is given each connection that is let in, and closes it. Called on one thread until Stop.
  void Serve(std::function<void(int socket)> take);
  void Stop();

 private:
  explicit Listener(Limits limits) : limits_(std::move(limits)) {}
  absl::Status BindAll(const std::string& address);
  absl::Status BindHost(const char* host, int port);
  void Run();
  // Waits while the server is behind, or until Stop: false.
  bool AwaitRoom();
  void Accept(int listening);
  void Take(int socket);
  // One that has said something, or nothing for long: takes it, answers it or closes it.
  struct Unheard {
    int socket;
    std::string share;  // For the log.
    Monotonic since;
    std::optional<PlainTextAnswer> plain;
  };
  // Whether it still waits.
  bool Hear(Unheard& one, bool readable);
  static bool AnswerPlainText(Unheard& one);
  // Why the connection may not come in; empty: it may.
  std::string RefusalOf(const std::string& share);

  const Limits limits_;
  std::vector<UniqueDescriptor> listening_;
  UniqueDescriptor stop_;
  int port_ = 0;
  OpenConnections open_;  // Of the accepting thread, as the next.
  NewConnections new_;
  std::vector<Unheard> unheard_;  // Which way they speak is not known yet.
  std::function<void(int)> take_;
  std::thread thread_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_LISTENER_H_
