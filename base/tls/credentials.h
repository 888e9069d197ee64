// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How the clients of all programs judge a server: TLS 1.3 only, and our own root. Servers of gRPC
// have no TLS of their own, see base/tls_terminator. Thread-safe.
#ifndef WATTLE_BASE_TLS_CREDENTIALS_H_
#define WATTLE_BASE_TLS_CREDENTIALS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include <grpcpp/security/credentials.h>

#include "base/tls/certificate.h"

namespace wattle::tls {

// Makes TLS 1.3 the only version in this process. Call it before gRPC starts and before any thread.
void UseTls13Alone();

// The files of a certificate. A server reads them again every second and a client every 10 s, so
// that a renewed certificate serves the next connection. A renewal keeps the key.
struct CertificateFiles {
  std::string key_path;
  std::string chain_path;
};

// The roots that are trusted, in PEM. Asked for in each handshake, because they change while a
// program runs. Thread-safe.
using RootsSource = std::function<std::string()>;
// Those that stay.
inline RootsSource FixedRoots(std::string pem) {
  return [pem = std::move(pem)] { return pem; };
}

// How a client judges the server that it dialled: the chain, the name, and the expiry at the time
// that `now` gives.
struct ServerRules {
  RootsSource roots;
  std::string uri;  // "spiffe://FLEET/coordinator".
  std::function<absl::Time()> now;
  // Called in the handshake with what the server shows, once it is accepted.
  std::function<void(const CertificateFacts&)> on_accepted = [](const CertificateFacts&) {};
  // Called in the handshake with why the server is refused; gRPC's own error says little about it.
  std::function<void(const absl::Status&)> on_refused = [](const absl::Status&) {};
};
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const CertificateFiles& own,
                                                             ServerRules rules);

// For enrolment: accepts the coordinator whose root has the token's pin. Errors: kUnauthenticated.
absl::Status CheckPinnedServer(const std::string& pin, const std::string& chain_pem);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_CREDENTIALS_H_
