// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The share of connections and calls to which an address belongs: its own, or for IPv6 that of the
// 64-bit network, because one machine may have all addresses of a network. An IPv4-mapped IPv6
// address counts as the IPv4 address. Pure.
#ifndef WATTLE_BASE_ADDRESS_SHARE_H_
#define WATTLE_BASE_ADDRESS_SHARE_H_

#include <sys/socket.h>

#include <string>

namespace wattle {

// "": neither IPv4 nor IPv6.
std::string ShareOf(const sockaddr_storage& peer);
// host: a numeric address, such as "2001:db8::7" or "fe80::1%eth0"; any other text is its own
// share.
std::string ShareOfHost(const std::string& host);

}  // namespace wattle

#endif  // WATTLE_BASE_ADDRESS_SHARE_H_
