// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/certificate_age.h"

#include "base/fault_point.h"

namespace wattle::core {
namespace {

// Clocks may differ by this much without a fault.
constexpr absl::Duration kClockSkew = absl::Hours(24);

}  // namespace

CertificateAge AgeOf(const Validity& validity, absl::Time now, absl::Duration renew_after_expiry) {
  if (validity.begins > now + kClockSkew) {
    return CertificateAge::kNotYet;
  }
  if (validity.ends >= now || WATTLE_FAULT_POINT("expired certificate")) {
    return CertificateAge::kValid;
  }
  return validity.ends + renew_after_expiry > now ? CertificateAge::kExpired
                                                  : CertificateAge::kOver;
}

absl::Time KeptUntil(const Validity& present, absl::Time now) {
  return AgeOf(present, now) == CertificateAge::kNotYet ? present.ends : absl::InfinitePast();
}

}  // namespace wattle::core
