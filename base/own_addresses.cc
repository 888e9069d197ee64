// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/own_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <array>

namespace wattle {

std::vector<std::string> OwnAddresses() {
  std::vector<std::string> addresses;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) {
    return addresses;
  }
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    std::array<char, INET6_ADDRSTRLEN> text = {};
    if (one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET) {
      const auto* const address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size());
    } else if (one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET6) {
      const auto* const address = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      if (!IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr)) {
        inet_ntop(AF_INET6, &address->sin6_addr, text.data(), text.size());
      }
    }
    if (text[0] != '\0') {
      addresses.emplace_back(text.data());
    }
  }
  freeifaddrs(all);
  return addresses;
}

}  // namespace wattle
