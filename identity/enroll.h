// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The two calls by which an identity is got and kept. Thread-safe.
#ifndef WATTLE_IDENTITY_ENROLL_H_
#define WATTLE_IDENTITY_ENROLL_H_

#include <string>

#include "absl/status/statusor.h"

#include "base/clock.h"
#include "identity/identity.h"

namespace wattle::identity {

// Makes a key in the folder, exchanges the token for a certificate and keeps the certificate. The
// secret is sent to a coordinator that has the token's pin, and to no other. A repetition after a
// lost answer gives the same identity. device_id: with a token for a device. Errors:
// kInvalidArgument for a damaged token; kUnavailable where no coordinator with the pin answers; the
// coordinator's own; those of the folder's files.
absl::StatusOr<Identity> Enroll(const std::string& folder, const std::string& token,
                                const std::string& device_id, KeyPlace place = KeyPlace::kFile);

// Past the half of the certificate's life, or asked for.
bool RenewalIsDue(const Identity& identity, absl::Time now);
// Gets a new certificate for the same key, also with an expired one, and keeps it. coordinator:
// HOST:PORT. Errors: as Enroll.
absl::StatusOr<Identity> Renew(const Identity& identity, const std::string& coordinator,
                               const Clock& clock);

}  // namespace wattle::identity

#endif  // WATTLE_IDENTITY_ENROLL_H_
