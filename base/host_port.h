// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Addresses on command lines: HOST:PORT, parsed and not guessed, in every program by the same rule.
// Thread-safe.
#ifndef WATTLE_BASE_HOST_PORT_H_
#define WATTLE_BASE_HOST_PORT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle {

struct HostPort {
  std::string host;  // "127.0.0.1", "hub.local", "::1" (without the brackets of HOST:PORT)
  int port = 0;      // 0 to 65535; 0 on a listening side: any free one
};

// "hub.local:7410", "[::1]:7410". flag: "--listen", for the message. kInvalidArgument, one line,
// for a missing host or port, a port that is no whole number up to 65535, and an IPv6 address
// without its brackets.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view flag, absl::string_view text);

// The form that ParseHostPort reads.
std::string FormatHostPort(const HostPort& address);

// Whether the host is a numeric address, IPv4 or IPv6 without brackets, and not a name that needs a
// look-up.
bool IsIpAddress(const std::string& host);

// 127.0.0.0/8, ::1, or the name localhost.
bool IsLoopback(const HostPort& address);

}  // namespace wattle

#endif  // WATTLE_BASE_HOST_PORT_H_
