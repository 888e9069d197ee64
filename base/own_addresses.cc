// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/own_addresses.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <fstream>

#include "absl/strings/escaping.h"

#include "base/unique_descriptor.h"

namespace wattle {
namespace {

void AddIpv4(std::vector<std::string>& addresses) {
  const UniqueDescriptor asked(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifconf all = {};
  if (asked.get() < 0 || ioctl(asked.get(), SIOCGIFCONF, &all) != 0) {
    return;
  }
  std::vector<ifreq> interfaces(static_cast<size_t>(all.ifc_len) / sizeof(ifreq) + 1);
  all.ifc_len = static_cast<int>(interfaces.size() * sizeof(ifreq));
  all.ifc_req = interfaces.data();
  if (ioctl(asked.get(), SIOCGIFCONF, &all) != 0) {
    return;
  }
  interfaces.resize(static_cast<size_t>(all.ifc_len) / sizeof(ifreq));
  for (const ifreq& one : interfaces) {
    sockaddr_in address = {};
    std::memcpy(&address, &one.ifr_addr, sizeof(address));
    std::array<char, INET_ADDRSTRLEN> text = {};
    if (inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size()) != nullptr) {
      addresses.emplace_back(text.data());
    }
  }
}

// A line is the address as 32 hex digits, index, prefix length, scope, flags, name.
void AddIpv6(std::vector<std::string>& addresses) {
  std::ifstream file("/proc/self/net/if_inet6");
  std::string digits;
  std::string rest;
  while (file >> digits && std::getline(file, rest)) {
    in6_addr address = {};
    const std::string bytes = absl::HexStringToBytes(digits);
    if (bytes.size() != sizeof(address)) {
      continue;
    }
    std::memcpy(&address, bytes.data(), sizeof(address));
    std::array<char, INET6_ADDRSTRLEN> text = {};
    if (!IN6_IS_ADDR_LINKLOCAL(&address) &&
        inet_ntop(AF_INET6, &address, text.data(), text.size()) != nullptr) {
      addresses.emplace_back(text.data());
    }
  }
}

}  // namespace

// Does not use getifaddrs, which needs a netlink socket, because the units of deploy/systemd forbid
// it.
std::vector<std::string> OwnAddresses() {
  std::vector<std::string> addresses;
  AddIpv4(addresses);
  AddIpv6(addresses);
  return addresses;
}

}  // namespace wattle
