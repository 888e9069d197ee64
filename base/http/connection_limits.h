// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the HTTP server grants to whoever connects.
#ifndef WATTLE_BASE_HTTP_CONNECTION_LIMITS_H_
#define WATTLE_BASE_HTTP_CONNECTION_LIMITS_H_

#include <cstddef>

#include "absl/time/time.h"

namespace wattle::http {

// How long the server waits for its peer.
struct PeerPatience {
  absl::Duration idle = absl::Seconds(2);      // Before the first byte of a request.
  absl::Duration silence = absl::Seconds(5);   // One wait within a request or its answer.
  absl::Duration request = absl::Seconds(30);  // All waits of a request and its answer.
};

struct ConnectionLimits {
  size_t connections_max = 512;              // Open at once.
  size_t connections_per_address_max = 128;  // From one address.
  PeerPatience patience;
};

}  // namespace wattle::http

#endif  // WATTLE_BASE_HTTP_CONNECTION_LIMITS_H_
