// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which rights a certificate still gives its holder. The coordinator's clock decides, although it
// may have been wrong when the certificate was signed. Pure.
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
  kNotYet,   // Signed while the clock was ahead, or the clock is late now: renewal only.
  kExpired,  // Renewal only.
  kOver,     // The holder must enrol again.
};
// Time after the end of its certificate in which a board may still renew it.
inline constexpr absl::Duration kRenewAfterExpiry = absl::Hours(400 * 24);

CertificateAge AgeOf(const Validity& validity, absl::Time now,
                     absl::Duration renew_after_expiry = kRenewAfterExpiry);

// The certificate that replaces this one must not end before this time, so that a renewal under a
// late clock shortens no certificate.
absl::Time KeptUntil(const Validity& present, absl::Time now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_CERTIFICATE_AGE_H_
