// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/transfer/grpc_status.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace wattle {

bool PeerSpeaksNoGrpc(absl::string_view message) {
  return absl::StrContains(message, "http2 header with status") ||
         absl::StrContains(message, "http1.x server") ||
         absl::StrContains(message, "Failed parsing HTTP/2") ||
         absl::StrContains(message, "wrong version number") ||  // An answer without TLS.
         absl::StrContains(message, "missing selected ALPN");   // HTTPS.
}

std::string ConnectionTrouble(absl::string_view message) {
  if (PeerSpeaksNoGrpc(message)) {
    return "what answers there is no coordinator's gRPC port";
  }
  // The start of base/tls's message about an untrusted server.
  constexpr absl::string_view kDistrust = "Custom verification check failed with error: ";
  if (const size_t at = message.find(kDistrust); at != absl::string_view::npos) {
    absl::string_view why = message.substr(at + kDistrust.size());
    absl::ConsumePrefix(&why, "UNAUTHENTICATED: ");
    return absl::StrCat("what answers there is not trusted: ", why);
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
