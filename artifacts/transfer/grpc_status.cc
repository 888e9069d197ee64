// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/transfer/grpc_status.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace wattle {

bool PeerSpeaksNoGrpc(absl::string_view message) {
  return absl::StrContains(message, "http2 header with status") ||
         absl::StrContains(message, "http1.x server") ||
         absl::StrContains(message, "Failed parsing HTTP/2");
}

std::string ConnectionTrouble(absl::string_view message) {
  if (PeerSpeaksNoGrpc(message)) {
    return "what answers there is no coordinator's gRPC port";
  }
  const std::string lower = absl::AsciiStrToLower(message);
  if (absl::StrContains(lower, "connection refused")) {
    return "connection refused";
  }
  if (absl::StrContains(lower, "dns resolution failed") ||
      absl::StrContains(lower, "name or service not known")) {
    return "unknown host name";
  }
  if (absl::StrContains(lower, "no route to host")) {
    return "no route to host";
  }
  if (absl::StrContains(lower, "socket closed") || absl::StrContains(lower, "connection reset")) {
    return "connection lost";
  }
  return std::string(message);
}

}  // namespace wattle
