// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The calls by which an identity is got and kept. Thread-safe.
#ifndef WATTLE_IDENTITY_ENROLL_H_
#define WATTLE_IDENTITY_ENROLL_H_

#include <string>

#include "absl/status/statusor.h"

#include "base/clock.h"
#include "base/tls/token.h"
#include "identity/identity.h"
#include "wattle/v1/access.pb.h"

namespace wattle::identity {

// Enrolment is a POST over HTTPS on the coordinator's gRPC port, since whoever enrols has no
// certificate yet: the body is an EnrollRequest, the answer an IdentityCertificate, both as
// protobuf has them on the wire. Another answer than 200 has the message as its text, and its
// canonical code in the header Wattle-Status.
inline constexpr char kEnrollPath[] = "/enroll";
inline constexpr char kEnrollContentType[] = "application/x-protobuf";

// Makes a key in the folder, exchanges the token for a certificate and keeps the certificate. The
// secret is sent to a coordinator that has the token's pin, and to no other. A repetition after a
// lost answer gives the same identity. device_id: with a token for a device. Errors:
// kInvalidArgument for a damaged token; kUnavailable where no coordinator with the pin answers; the
// coordinator's own; those of the folder's files.
absl::StatusOr<Identity> Enroll(const std::string& folder, const std::string& token,
                                const std::string& device_id, KeyPlace place = KeyPlace::kFile);

// The exchange only: sends the request to the coordinator that has the token's pin. Errors: as
// Enroll.
absl::StatusOr<v1::IdentityCertificate> AskToEnroll(const tls::Token& token,
                                                    const v1::EnrollRequest& request);

// Past the half of the certificate's life, or asked for.
bool RenewalIsDue(const Identity& identity, absl::Time now);
// Gets a new certificate for the same key, also with an expired one, and keeps it. coordinator:
// HOST:PORT. Errors: as Enroll.
absl::StatusOr<Identity> Renew(const Identity& identity, const std::string& coordinator,
                               const Clock& clock);

}  // namespace wattle::identity

#endif  // WATTLE_IDENTITY_ENROLL_H_
