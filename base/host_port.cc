// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/host_port.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "base/utf8.h"

namespace wattle {
namespace {

constexpr int kPortMax = 65535;

bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
}
bool IsIpv6Character(char c) {
  return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.' || c == '%';
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(absl::string_view flag, absl::string_view text) {
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(flag, " \"", OneLine(text), "\": ", what,
                                                   "; wants HOST:PORT, for example "
                                                   "127.0.0.1:7410 or [::1]:7410"));
  };
  if (const size_t scheme = text.find("://"); scheme != absl::string_view::npos) {
    return refuse(absl::StrCat("leave \"", OneLine(text.substr(0, scheme + 3)), "\" out"));
  }
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || absl::EndsWith(text, "]")) {
    return refuse("has no port");
  }
  absl::string_view host = text.substr(0, colon);
  const absl::string_view port_text = text.substr(colon + 1);
  HostPort address;
  const bool digits =
      !port_text.empty() && std::all_of(port_text.begin(), port_text.end(), [](char c) {
        return absl::ascii_isdigit(static_cast<unsigned char>(c));
      });
  if (!digits || !absl::SimpleAtoi(port_text, &address.port) || address.port > kPortMax) {
    return refuse(port_text.empty() ? "has no port" : "its port is no number from 0 to 65535");
  }
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]") || !absl::StrContains(host, ":") ||
        !std::all_of(host.begin(), host.end(), IsIpv6Character)) {
      return refuse("its address in brackets is not IPv6");
    }
  } else if (absl::StrContains(host, ":")) {
    return refuse("an IPv6 address stands in brackets");
  } else if (host.empty() || !std::all_of(host.begin(), host.end(), IsHostCharacter)) {
    return refuse(host.empty() ? "has no host" : "its host has odd characters");
  }
  address.host = std::string(host);
  return address;
}

std::string FormatHostPort(const HostPort& address) {
  return absl::StrContains(address.host, ":") ? absl::StrCat("[", address.host, "]:", address.port)
                                              : absl::StrCat(address.host, ":", address.port);
}

bool IsIpAddress(const std::string& host) {
  in6_addr bytes = {};  // Room for either.
  return inet_pton(AF_INET, host.c_str(), &bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &bytes) == 1;
}

// An address is compared as a number: "127.example.com" is a name, which anybody may register.
bool IsLoopback(const HostPort& address) {
  in_addr ipv4 = {};
  if (inet_pton(AF_INET, address.host.c_str(), &ipv4) == 1) {
    return ntohl(ipv4.s_addr) >> 24 == 127;
  }
  in6_addr ipv6 = {};
  if (inet_pton(AF_INET6, address.host.c_str(), &ipv6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&ipv6);
  }
  return address.host == "localhost";
}

}  // namespace wattle
