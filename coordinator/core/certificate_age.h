// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a certificate still lets its holder do, by the coordinator's clock, which may have been
// wrong when it was signed. Pure.
#ifndef WATTLE_COORDINATOR_CORE_CERTIFICATE_AGE_H_
#define WATTLE_COORDINATOR_CORE_CERTIFICATE_AGE_H_

#include "absl/time/time.h"

namespace wattle::core {

struct Validity {
  absl::Time begins = absl::InfinitePast();
  absl::Time ends = absl::InfiniteFuture();
};

enum class CertificateAge {
  kValid,
  kNotYet,   // The clock was ahead when it was signed, or is late now: it may be renewed, no more.
  kExpired,  // It may be renewed, no more.
  kOver,     // Its holder has to enrol again.
};
// A board may have been away for so long after its certificate ended.
inline constexpr absl::Duration kRenewAfterExpiry = absl::Hours(400 * 24);

CertificateAge AgeOf(const Validity& validity, absl::Time now,
                     absl::Duration renew_after_expiry = kRenewAfterExpiry);

// Before this time the certificate that replaces this one must not end: who renews while the
// coordinator's clock is late must not lose what they have.
absl::Time KeptUntil(const Validity& present, absl::Time now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_CERTIFICATE_AGE_H_
