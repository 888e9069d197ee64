// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The sockets of a port, which listen on all addresses of a name. Thread-compatible.
#ifndef WATTLE_BASE_TLS_TERMINATOR_LISTENING_SOCKETS_H_
#define WATTLE_BASE_TLS_TERMINATOR_LISTENING_SOCKETS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/unique_descriptor.h"

namespace wattle {

struct ListeningSockets {
  std::vector<UniqueDescriptor> sockets;  // Do not block.
  int port = 0;
};

// flag: for the error of an address that is not HOST:PORT. Port 0: any free port. Errors:
// kInvalidArgument; kUnavailable, without the address, where it is in use or not this machine's.
absl::StatusOr<ListeningSockets> Listen(const std::string& flag, const std::string& address);

}  // namespace wattle

#endif  // WATTLE_BASE_TLS_TERMINATOR_LISTENING_SOCKETS_H_
