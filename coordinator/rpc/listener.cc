// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/address_share.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "coordinator/log/log.h"

namespace wattle::rpc {
namespace {

// What a peer may leave without TCP's acknowledgement: as long as an answer to a ping of gRPC may
// take, see PermitKeepalive.
constexpr unsigned kUnacknowledgedMilliseconds = 10'000;
// How long a full table of descriptors is given to empty.
constexpr int kFullMilliseconds = 100;
// A server that keeps up reads a message of a handshake sooner.
constexpr absl::Duration kNewFor = absl::Seconds(2);
// Whoever says nothing for so long is the server's, whose handshake has a deadline of its own.
constexpr absl::Duration kUnheardFor = absl::Seconds(1);
constexpr absl::Duration kPlainTextFor = absl::Seconds(5);  // One exchange, over a slow link.
constexpr size_t kUnheardMost = 256;
constexpr int kUnheardMilliseconds = 200;  // Between two looks at those that are silent.
constexpr int kBehindMilliseconds = 1;     // Between two looks whether the server still is behind.

void Set(int socket, int level, int option, int value) {
  (void)setsockopt(socket, level, option, &value, sizeof(value));
}

// -1: cannot be bound.
int Bound(const addrinfo& address) {
  const int socket = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) {
    return -1;
  }
  // Without it a restart would wait for old connections. Two programs cannot share the port by it.
  Set(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  // The connections that are accepted inherit these.
  Set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  Set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnacknowledgedMilliseconds);
  if (address.ai_family == AF_INET6) {
    const auto* const to = reinterpret_cast<const sockaddr_in6*>(address.ai_addr);
    Set(socket, IPPROTO_IPV6, IPV6_V6ONLY, IN6_IS_ADDR_UNSPECIFIED(&to->sin6_addr) ? 0 : 1);
  }
  if (bind(socket, address.ai_addr, address.ai_addrlen) != 0 || listen(socket, SOMAXCONN) != 0) {
    const int error = errno;
    close(socket);
    errno = error;
    return -1;
  }
  return socket;
}

int PortOf(int socket) {
  sockaddr_storage own = {};
  socklen_t length = sizeof(own);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&own), &length) != 0) {
    return 0;
  }
  return ntohs(own.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(own).sin6_port
                                         : reinterpret_cast<const sockaddr_in&>(own).sin_port);
}

void SetPort(int port, addrinfo& address) {
  const uint16_t network_order = htons(static_cast<uint16_t>(port));
  if (address.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address.ai_addr)->sin6_port = network_order;
  } else {
    reinterpret_cast<sockaddr_in*>(address.ai_addr)->sin_port = network_order;
  }
}

}  // namespace

SocketIdentity::SocketIdentity(int socket) : socket_(socket) {
  struct stat facts = {};
  if (fstat(socket, &facts) == 0) {
    known_ = true;
    device_ = facts.st_dev;
    inode_ = facts.st_ino;
  }
}

bool SocketIdentity::IsOpen() const {
  struct stat facts = {};
  return known_ && fstat(socket_, &facts) == 0 && facts.st_dev == device_ && facts.st_ino == inode_;
}

void NewConnections::Add(int socket, Monotonic now) {
  connections_.push_back({SocketIdentity(socket), now});
  ++unread_;
}

bool NewConnections::HasUnread(int most, Monotonic now) {
  if (unread_ < most) {
    return false;
  }
  while (!connections_.empty() && now - connections_.front().since > kNewFor) {
    connections_.pop_front();
  }
  // Those that came last are the likeliest. A look at all of them a thousand times a second, as
  // long as the server is behind, would hold it up.
  unread_ = 0;
  for (auto one = connections_.rbegin(); one != connections_.rend() && unread_ < most; ++one) {
    int bytes = 0;
    const bool has_unread = ioctl(one->socket.socket(), FIONREAD, &bytes) == 0 && bytes > 0;
    unread_ += has_unread && one->socket.IsOpen() ? 1 : 0;
  }
  return unread_ >= most;
}

OpenConnections::Place OpenConnections::Forget(Place connection) {
  const auto count = count_.find(connection->second.share);
  if (--count->second == 0) {
    count_.erase(count);
  }
  return connections_.erase(connection);
}

void OpenConnections::ForgetClosed(const std::string& share) {
  for (auto one = connections_.begin(); one != connections_.end();) {
    const bool asked = share.empty() || one->second.share == share;
    one = !asked || one->second.socket.IsOpen() ? std::next(one) : Forget(one);
  }
}

bool OpenConnections::IsFull(const std::string& share, int most) {
  const auto reached = [&] {
    const auto count = count_.find(share);
    return count != count_.end() && count->second >= most;
  };
  if (!reached()) {
    return false;
  }
  ForgetClosed(share);
  return reached();
}

bool OpenConnections::IsFull(int most) {
  if (connections_.size() < static_cast<size_t>(most)) {
    return false;
  }
  ForgetClosed("");
  return connections_.size() >= static_cast<size_t>(most);
}

void OpenConnections::Add(int socket, const std::string& share) {
  if (const auto old = connections_.find(socket); old != connections_.end()) {
    Forget(old);  // A number that is given anew was closed.
  }
  connections_.insert({socket, {SocketIdentity(socket), share}});
  ++count_[share];
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(const std::string& address,
                                                         Limits limits) {
  std::unique_ptr<Listener> listener(new Listener(std::move(limits)));
  WATTLE_RETURN_IF_ERROR(listener->BindAll(address));
  listener->stop_ = UniqueDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (listener->stop_.get() < 0) {
    return absl::UnavailableError("no descriptor is left");
  }
  return listener;
}

absl::Status Listener::BindAll(const std::string& address) {
  WATTLE_ASSIGN_OR_RETURN(const HostPort wanted, ParseHostPort("--listen", address));
  absl::Status bound = absl::UnavailableError("no address");
  // Whoever listens on all addresses means those of IPv6 too, where the machine has it.
  for (const char* const host : {wanted.host == "0.0.0.0" ? "::" : "", wanted.host.c_str()}) {
    if (*host != '\0' && listening_.empty()) {
      bound = BindHost(host, wanted.port);
    }
  }
  return bound;
}

absl::Status Listener::BindHost(const char* host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host, nullptr, &hints, &found); error != 0) {
    return absl::UnavailableError(gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
  int error = 0;
  for (addrinfo* one = all.get(); one != nullptr; one = one->ai_next) {
    SetPort(port_ == 0 ? port : port_, *one);
    UniqueDescriptor socket(Bound(*one));
    if (socket.get() < 0) {
      error = errno;
      continue;
    }
    port_ = PortOf(socket.get());
    listening_.push_back(std::move(socket));
  }
  return listening_.empty() ? absl::UnavailableError(std::strerror(error)) : absl::OkStatus();
}

Listener::~Listener() {
  Stop();
}

void Listener::Serve(std::function<void(int socket)> take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { Run(); });
}

void Listener::Stop() {
  if (thread_.joinable()) {
    (void)eventfd_write(stop_.get(), 1);
    thread_.join();
  }
  listening_.clear();
  for (const Unheard& one : unheard_) {
    close(one.socket);
  }
  unheard_.clear();
}

void Listener::Run() {
  while (true) {
    std::vector<pollfd> waiting = {{stop_.get(), POLLIN, 0}};
    for (const UniqueDescriptor& one : listening_) {
      waiting.push_back({one.get(), POLLIN, 0});
    }
    for (const Unheard& one : unheard_) {
      waiting.push_back({one.socket, POLLIN, 0});
    }
    const int patience = unheard_.empty() ? -1 : kUnheardMilliseconds;
    if (poll(waiting.data(), waiting.size(), patience) < 0 && errno != EINTR) {
      LogWarning(absl::StrCat("--listen: no connection is accepted any more: ",
                              std::strerror(errno), "; start the coordinator again"));
      return;
    }
    if (waiting[0].revents != 0) {
      return;
    }
    const size_t first_unheard = 1 + listening_.size();
    std::vector<Unheard> still;
    for (size_t i = 0; i < unheard_.size(); ++i) {
      if (!AwaitRoom()) {
        return;
      }
      if (Hear(unheard_[i], waiting[first_unheard + i].revents != 0)) {
        still.push_back(std::move(unheard_[i]));
      }
    }
    unheard_ = std::move(still);
    for (size_t i = 1; i < first_unheard; ++i) {
      if (waiting[i].revents != 0 && !AwaitRoom()) {
        return;
      }
      if (waiting[i].revents != 0) {
        Accept(waiting[i].fd);
      }
    }
  }
}

void Listener::Take(int socket) {
  new_.Add(socket, Clock::Real().Boottime());
  take_(socket);
}

bool Listener::Hear(Unheard& one, bool readable) {
  const absl::Duration waited = Clock::Real().Boottime() - one.since;
  if (one.plain.has_value()) {
    const bool goes_on = waited < kPlainTextFor && (!readable || AnswerPlainText(one));
    if (!goes_on) {
      close(one.socket);
    }
    return goes_on;
  }
  char first = 0;
  const bool heard = readable && recv(one.socket, &first, 1, MSG_PEEK) == 1;
  if (heard && first == PlainTextAnswer::kFirstByte) {
    LogWarning(absl::StrCat("--listen: a program at ", one.share,
                            " speaks without TLS, as workers of 0.1 do; it was told to enrol"));
    one.plain.emplace();
    return true;
  }
  if (!heard && !readable && waited < kUnheardFor && unheard_.size() < kUnheardMost) {
    return true;
  }
  Take(one.socket);
  return false;
}

bool Listener::AnswerPlainText(Unheard& one) {
  std::array<char, 4096> bytes = {};
  const ssize_t size = recv(one.socket, bytes.data(), bytes.size(), 0);
  if (size <= 0) {
    return size < 0 && errno == EAGAIN;
  }
  if (one.plain->done()) {
    return true;  // Read and dropped until the client closes, so that no reset takes the answer.
  }
  const std::string answer =
      one.plain->Take(absl::string_view(bytes.data(), static_cast<size_t>(size)));
  return send(one.socket, answer.data(), answer.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(answer.size());
}

bool Listener::AwaitRoom() {
  pollfd stop = {stop_.get(), POLLIN, 0};
  while (limits_.unread > 0 && new_.HasUnread(limits_.unread, Clock::Real().Boottime())) {
    if (poll(&stop, 1, kBehindMilliseconds) > 0) {
      return false;
    }
  }
  return true;
}

void Listener::Accept(int listening) {
  sockaddr_storage peer = {};
  socklen_t length = sizeof(peer);
  const int socket =
      accept4(listening, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      LogWarning(absl::StrCat("--listen: a connection waits: ", std::strerror(errno),
                              "; raise LimitNOFILE of the coordinator's service"));
      pollfd stop = {stop_.get(), POLLIN, 0};
      poll(&stop, 1, kFullMilliseconds);
    }
    return;
  }
  const std::string share = ShareOf(peer);
  if (const std::string refusal = RefusalOf(share); !refusal.empty()) {
    limits_.on_refused();
    LogWarning(absl::StrCat("--listen: a connection from ", share, " was closed: ", refusal));
    const linger at_once = {1, 0};  // Closes by a reset, which leaves nothing to wait for here.
    (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(socket);
    return;
  }
  pollfd peer_state = {socket, POLLRDHUP, 0};
  if (poll(&peer_state, 1, 0) > 0) {
    close(socket);  // It has given up meanwhile: a handshake with it would be in vain.
    return;
  }
  open_.Add(socket, share);
  if (limits_.tls) {
    unheard_.push_back(
        {.socket = socket, .share = share, .since = Clock::Real().Boottime(), .plain = {}});
  } else {
    Take(socket);
  }
}

std::string Listener::RefusalOf(const std::string& share) {
  const int share_most = limits_.connections_per_address;
  if (share_most > 0 && open_.IsFull(share, share_most)) {
    return absl::StrCat(share_most, " of it are open, its most; where as many boards have one ",
                        "address raise --connections-per-address");
  }
  if (limits_.connections > 0 && open_.IsFull(limits_.connections)) {
    return absl::StrCat(limits_.connections, " are open, the most that leave files for the ",
                        "journal; raise LimitNOFILE of the coordinator's service");
  }
  return "";
}

}  // namespace wattle::rpc
