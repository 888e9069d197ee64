// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls_terminator/listening_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/status/status.h"

#include "base/host_port.h"
#include "base/status_macros.h"

namespace wattle {
namespace {

// What a peer may leave without TCP's acknowledgement: as long as an answer to a ping of gRPC may
// take, see PermitKeepalive of coordinator/rpc.
constexpr unsigned kUnacknowledgedMilliseconds = 10'000;

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

absl::StatusOr<ListeningSockets> ListenOn(const char* host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host, nullptr, &hints, &found); error != 0) {
    return absl::UnavailableError(gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
  ListeningSockets listening;
  int error = 0;
  for (addrinfo* one = all.get(); one != nullptr; one = one->ai_next) {
    SetPort(listening.port == 0 ? port : listening.port, *one);
    UniqueDescriptor socket(Bound(*one));
    if (socket.get() < 0) {
      error = errno;
      continue;
    }
    listening.port = PortOf(socket.get());
    listening.sockets.push_back(std::move(socket));
  }
  if (listening.sockets.empty()) {
    return absl::UnavailableError(std::strerror(error));
  }
  return listening;
}

}  // namespace

absl::StatusOr<ListeningSockets> Listen(const std::string& flag, const std::string& address) {
  WATTLE_ASSIGN_OR_RETURN(const HostPort wanted, ParseHostPort(flag, address));
  if (wanted.host != "0.0.0.0" && wanted.host != "::") {
    return ListenOn(wanted.host.c_str(), wanted.port);
  }
  // Whoever listens on all addresses means those of IPv6 too, where the machine has it.
  absl::StatusOr<ListeningSockets> on_both = ListenOn("::", wanted.port);
  return on_both.ok() ? std::move(on_both) : ListenOn("0.0.0.0", wanted.port);
}

}  // namespace wattle
