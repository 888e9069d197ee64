// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where a caller is, as gRPC knows it: not what the caller says about itself. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_PEER_H_
#define WATTLE_COORDINATOR_RPC_PEER_H_

#include <string>

#include "absl/time/time.h"

namespace wattle::rpc {

// While a handler waits, a caller that left is noticed after at most this time.
inline constexpr absl::Duration kLookForCancel = absl::Milliseconds(500);

// The address without the port of ServerContext::peer(), such as "ipv4:10.0.0.7:41234" or
// "ipv6:%5B::1%5D:41234"; empty: not a caller over
// TCP, or at a link-local address, which means nothing without its interface.
std::string PeerHost(const std::string& peer);

// Where Prometheus finds a worker's page: the host is the peer's own, so that no worker sends
// Prometheus elsewhere; the port is that of `told`, HOST:PORT. A loopback address stays as told if
// the peer is on this machine too. Empty: nowhere, because `told` is empty or no address, or is a
// loopback address of another machine.
std::string ScrapeAddress(const std::string& peer_host, const std::string& told);

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_PEER_H_
