// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/address_share.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace wattle {
namespace {

constexpr size_t kNetworkBytes = 8;  // Network part of an IPv6 address.

}  // namespace

std::string ShareOf(const sockaddr_storage& peer) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (peer.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(peer).sin_addr, text.data(),
              text.size());
    return text.data();
  }
  if (peer.ss_family != AF_INET6) {
    return "";
  }
  in6_addr address = reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    inet_ntop(AF_INET, address.s6_addr + sizeof(address) - sizeof(in_addr), text.data(),
              text.size());
    return text.data();
  }
  std::memset(address.s6_addr + kNetworkBytes, 0, sizeof(address) - kNetworkBytes);
  inet_ntop(AF_INET6, &address, text.data(), text.size());
  return absl::StrCat(text.data(), "/64");
}

std::string ShareOfHost(const std::string& host) {
  sockaddr_storage peer = {};
  auto& address = reinterpret_cast<sockaddr_in6&>(peer);
  const std::string without_interface = host.substr(0, host.find('%'));
  if (inet_pton(AF_INET6, without_interface.c_str(), &address.sin6_addr) != 1) {
    return host;
  }
  address.sin6_family = AF_INET6;
  return ShareOf(peer);
}

}  // namespace wattle
