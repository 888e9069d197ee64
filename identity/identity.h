// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The folder of an identity, which only its user may read:
//   key.pem          made here; never leaves the folder, and stays the same when it is renewed
//   request.pem      the signing request, sent again when an answer was lost
//   roots.pem        by which the coordinator is judged
//   coordinator      HOST:PORT of the token
//   certificate.pem  written last: with it the enrolment is complete
//   renew            while it is there, a renewal is due: the coordinator signs under a new root
// A crash at any step leaves a folder with which the next try goes on. Thread-safe.
#ifndef WATTLE_IDENTITY_IDENTITY_H_
#define WATTLE_IDENTITY_IDENTITY_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include <grpcpp/security/credentials.h>

#include "base/clock.h"
#include "base/tls/credentials.h"
#include "wattle/v1/access.pb.h"

namespace wattle::identity {

struct Identity {
  std::string folder;
  std::string coordinator;  // HOST:PORT
  std::string uri;          // "spiffe://FLEET/device/ID"
  std::string roots_pem;
  absl::Time not_before;  // When the certificate was signed: it is not earlier now.
  absl::Time not_after;
  bool renewal_asked = false;  // The file renew is there.

  // The last part of the uri.
  [[nodiscard]] std::string id() const { return uri.substr(uri.rfind('/') + 1); }
};

// Errors: kNotFound before the enrolment is complete; kFailedPrecondition for a key that others may
// read, or that is not the certificate's.
absl::StatusOr<Identity> Load(const std::string& folder);

// "spiffe://FLEET/person/ID" of the certificate, which needs no usable key. Errors: kNotFound
// before the enrolment is complete; kInvalidArgument for what is no certificate.
absl::StatusOr<std::string> UriIn(const std::string& folder);

// The files of the key and of the certificate, which is replaced when it is renewed.
tls::CertificateFiles FilesOf(const Identity& identity);

// The roots of the folder, as they are when they are asked for.
tls::RootsSource RootsOf(const Identity& identity);

// Called on threads of gRPC.
struct HandshakeCallbacks {
  std::function<void()> on_other_issuer = [] {};
  std::function<void(const absl::Status&)> on_refused = [](const absl::Status&) {};
};

// Credentials that show the certificate and judge the coordinator: its chain, its name, and its
// expiry at the later of the clock and the begin of the own certificate. This lets a board connect
// whose clock stands at 1970. Roots that a renewal brought count from the next handshake on. Where
// the coordinator shows a certificate of another issuer than the own one, the fleet's root was
// changed: the handshake makes the file renew. clock: must outlive the credentials.
std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const Identity& identity,
                                                        const Clock& clock,
                                                        HandshakeCallbacks callbacks = {});

// kTpm: only this machine's TPM can open what the file key.pem has.
enum class KeyPlace { kFile, kTpm };

// The folder's key and signing request; makes them at the first call. Errors: kFailedPrecondition
// where a TPM is asked for and cannot be used, or the folder has a key in a file; those of files.
absl::StatusOr<std::string> SigningRequestOf(const std::string& folder,
                                             KeyPlace place = KeyPlace::kFile);
// Keeps an answer of the coordinator.
absl::Status Keep(const std::string& folder, const v1::IdentityCertificate& answer,
                  const std::string& coordinator);

}  // namespace wattle::identity

#endif  // WATTLE_IDENTITY_IDENTITY_H_
