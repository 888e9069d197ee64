// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/certificate_age.h"

#include "gtest/gtest.h"

namespace wattle::core {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
const Validity kThirtyDays = {kNow, kNow + 30 * kDay};

TEST(CertificateAgeTest, AnExpiredOneMayBeRenewedFor400Days) {
  EXPECT_EQ(AgeOf(kThirtyDays, kNow + 30 * kDay), CertificateAge::kValid);
  EXPECT_EQ(AgeOf(kThirtyDays, kNow + 31 * kDay), CertificateAge::kExpired);
  EXPECT_EQ(AgeOf(kThirtyDays, kNow + 429 * kDay), CertificateAge::kExpired);
  EXPECT_EQ(AgeOf(kThirtyDays, kNow + 430 * kDay), CertificateAge::kOver);
}

TEST(CertificateAgeTest, TheOperatorSaysForHowLong) {
  const absl::Time in_two_months = kNow + 60 * kDay;
  EXPECT_EQ(AgeOf(kThirtyDays, in_two_months, 31 * kDay), CertificateAge::kExpired);
  EXPECT_EQ(AgeOf(kThirtyDays, in_two_months, 30 * kDay), CertificateAge::kOver);
  EXPECT_EQ(AgeOf(kThirtyDays, in_two_months, absl::ZeroDuration()), CertificateAge::kOver);
  EXPECT_EQ(AgeOf(kThirtyDays, kNow + kDay, absl::ZeroDuration()), CertificateAge::kValid);
}

TEST(CertificateAgeTest, OneThatWasSignedWhileTheClockWasAheadMayBeRenewed) {
  EXPECT_EQ(AgeOf(kThirtyDays, kNow - kDay), CertificateAge::kValid);
  EXPECT_EQ(AgeOf(kThirtyDays, kNow - 2 * kDay), CertificateAge::kNotYet);
  EXPECT_EQ(AgeOf(kThirtyDays, kNow - 3650 * kDay), CertificateAge::kNotYet);
}

// Else the right clock, once it is back, would find a certificate that ended decades ago.
TEST(CertificateAgeTest, WhoRenewsWhileTheClockIsLateKeepsTheEnd) {
  const absl::Time late = kNow - 40 * 365 * kDay;
  EXPECT_EQ(KeptUntil(kThirtyDays, late), kThirtyDays.ends);
  EXPECT_EQ(KeptUntil(kThirtyDays, kNow + 20 * kDay), absl::InfinitePast());
}

}  // namespace
}  // namespace wattle::core
