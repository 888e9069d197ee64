// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/http/threaded_server.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/address_share.h"
#include "base/http/socket_stream.h"

namespace wattle::http {
namespace {

// The library matches paths and Range headers, up to 8 KiB long, by recursion for each character.
constexpr size_t kStackBytes = size_t{8} << 20;

// Runs `work` on a thread that nobody joins. False: the machine has no thread left.
bool StartThread(std::function<void()> work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  auto* const handed_over = new std::function<void()>(std::move(work));
  pthread_t thread = {};
  const int failed = pthread_create(
      &thread, &attributes,
      [](void* argument) -> void* {
        const std::unique_ptr<std::function<void()>> mine(
            static_cast<std::function<void()>*>(argument));
        (*mine)();
        return nullptr;
      },
      handed_over);
  pthread_attr_destroy(&attributes);
  if (failed != 0) {
    delete handed_over;  // Else the thread's.
    return false;
  }
  return true;
}

bool HasBody(const httplib::Request& request) {
  const std::string length = request.get_header_value("Content-Length");
  return (!length.empty() && length != "0") || request.has_header("Transfer-Encoding");
}

// "" for a peer that is gone already.
std::string PeerShare(int socket) {
  sockaddr_storage peer = {};
  socklen_t length = sizeof(peer);
  const bool known = getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
  return known ? ShareOf(peer) : "";
}

// The answer then tells the peer that the connection ends.
void SetClose(httplib::Request& request) {
  request.headers.erase("Connection");
  request.set_header("Connection", "close");
}

}  // namespace

// Lets the library's accepting thread hand each connection over at once.
class ThreadedServer::Threads final : public httplib::TaskQueue {
 public:
  explicit Threads(ThreadedServer& server) : server_(server) {}
  void enqueue(std::function<void()> hand_over) override { hand_over(); }
  void shutdown() override { server_.CloseAll(); }

 private:
  ThreadedServer& server_;
};

ThreadedServer::ThreadedServer(const ConnectionLimits& limits, tls::ServerContext* context)
    : limits_(limits), context_(context) {
  new_task_queue = [this] { return new Threads(*this); };
}

void ThreadedServer::WidenBacklog() {
  // A socket that listens already takes the new backlog; a failure leaves the old one.
  (void)::listen(svr_sock_, SOMAXCONN);
}

bool ThreadedServer::process_and_close_socket(int socket) {
  const std::optional<Place> connection = Enter(socket);
  if (!connection.has_value()) {
    close(socket);
    return false;
  }
  return Serve(*connection);
}

bool ThreadedServer::Serve(Place connection) {
  const bool started = StartThread([this, connection] {
    Converse(connection);
    Leave(connection);
  });
  if (!started) {
    Leave(connection);
  }
  return started;
}

void ThreadedServer::Take(Accepted accepted) {
  const std::optional<Place> connection = Enter(accepted.socket.get());
  if (!connection.has_value()) {
    return;
  }
  (void)accepted.socket.release();  // Leave closes it.
  (*connection)->session = std::move(accepted.session);
  (void)Serve(*connection);
}

// The accepting thread waits for nobody whose own connections are all being answered: others come
// after it.
std::optional<ThreadedServer::Place> ThreadedServer::Enter(int socket) {
  const std::string address = PeerShare(socket);
  absl::MutexLock lock(&mutex_);
  if (CountOf(address) >= limits_.connections_per_address_max) {
    ++crowded_;
  }
  while (CountOf(address) >= limits_.connections_per_address_max) {
    if (!GiveUpOldest(&address)) {
      return std::nullopt;
    }
    changed_.Wait(&mutex_);
  }
  while (connections_.size() >= limits_.connections_max) {
    (void)GiveUpOldest(nullptr);
    changed_.Wait(&mutex_);
  }
  if (closing_) {
    return std::nullopt;
  }
  connections_.push_back({.socket = socket, .address = address, .request = ++requests_});
  return std::prev(connections_.end());
}

size_t ThreadedServer::CountOf(const std::string& address) const {
  return static_cast<size_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [&](const Connection& one) { return one.address == address; }));
}

// Only a request that was understood and has no body is followed by another one. The body of a
// refused request is unread and would be taken for the next request, and a foreign page may send
// any body.
void ThreadedServer::Converse(Place connection) {
  SocketStream stream(connection->socket, limits_.patience,
                      [&](bool waits) { SetWaits(connection, waits); });
  if (connection->session != nullptr) {
    stream.Begin(std::move(connection->session));
  } else if (!stream.Begin(context_)) {
    return;
  }
  const bool refused = context_ != nullptr && stream.connection() == nullptr;
  for (size_t left = keep_alive_max_count_; left > 0; --left) {
    bool closed = false;
    bool whole = false;
    const auto look = [&](httplib::Request& request) {
      request.ssl = stream.connection();
      whole = !HasBody(request) && !refused;
      if (!whole) {
        SetClose(request);
      }
    };
    if (!BeginRequest(connection) || !stream.AwaitRequest() ||
        !process_request(stream, left == 1, closed, look) || closed || !whole) {
      return;
    }
  }
}

// The socket is closed under the lock: GiveUpOldest must not meet its number as another file's.
void ThreadedServer::Leave(Place connection) {
  connection->session.reset();
  shutdown(connection->socket, SHUT_RDWR);
  absl::MutexLock lock(&mutex_);
  close(connection->socket);
  connections_.erase(connection);
  changed_.SignalAll();
}

// False: the server ends.
bool ThreadedServer::BeginRequest(Place connection) {
  absl::MutexLock lock(&mutex_);
  connection->request = ++requests_;
  return !closing_;
}

void ThreadedServer::SetWaits(Place connection, bool waits) {
  absl::MutexLock lock(&mutex_);
  connection->waits = waits;
  if (closing_ && waits) {
    shutdown(connection->socket, SHUT_RDWR);
  }
  changed_.SignalAll();
}

// One at a time: while one that was given up has not left, nobody else has to go.
bool ThreadedServer::GiveUpOldest(const std::string* address) {
  Connection* oldest = nullptr;
  for (Connection& connection : connections_) {
    if (address != nullptr && connection.address != *address) {
      continue;
    }
    if (connection.given_up) {
      return true;
    }
    if (connection.waits && (oldest == nullptr || connection.request < oldest->request)) {
      oldest = &connection;
    }
  }
  if (oldest != nullptr) {
    oldest->given_up = true;
    shutdown(oldest->socket, SHUT_RDWR);  // Wakes the connection's thread, which leaves.
  }
  return oldest != nullptr;
}

void ThreadedServer::CloseAll() {
  absl::MutexLock lock(&mutex_);
  closing_ = true;
  for (const Connection& connection : connections_) {
    if (connection.waits) {
      shutdown(connection.socket, SHUT_RDWR);
    }
  }
  while (!connections_.empty()) {
    changed_.Wait(&mutex_);
  }
}

bool RefusePlainText(const httplib::Request& request, const std::string& address,
                     httplib::Response& response) {
  if (request.ssl != nullptr) {
    return false;
  }
  const std::string host = request.get_header_value("Host");
  response.status = 400;
  response.set_content(
      "this port speaks HTTPS: https://" + (host.empty() ? address : host) + request.target + "\n",
      "text/plain");
  return true;
}

}  // namespace wattle::http
