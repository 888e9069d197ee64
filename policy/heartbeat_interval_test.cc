// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/heartbeat_interval.h"

#include "gtest/gtest.h"

#include "policy/fields.h"

namespace wattle::policy {
namespace {

Limits Metered(int64_t bytes_per_day) {
  v1::Policy policy;
  policy.mutable_link()->set_bytes_per_day(bytes_per_day);
  return LimitsOf({&policy});
}

TEST(HeartbeatIntervalTest, AMeteredLinkStretchesWhatTheCoordinatorWants) {
  EXPECT_EQ(HeartbeatInterval({}, absl::Seconds(1)), absl::Seconds(1));
  const absl::Duration metered = HeartbeatInterval(Metered(1'000'000'000), absl::Seconds(1));
  EXPECT_GT(metered, absl::Seconds(20));
  EXPECT_EQ(HeartbeatInterval(Metered(4'000'000), absl::Seconds(1)), metered);
  EXPECT_GT(HeartbeatInterval(Metered(kLinkBytesPerDayMin), absl::Seconds(1)), metered);
}

TEST(HeartbeatIntervalTest, NoLimitStretchesItBeyondAMinuteNorShortensIt) {
  EXPECT_EQ(HeartbeatInterval(Metered(1), absl::Seconds(1)), absl::Minutes(1));
  EXPECT_EQ(HeartbeatInterval(Metered(1), absl::Minutes(5)), absl::Minutes(5));
}

TEST(LinkLimitsTest, TheFewestBytesCountAndEachPolicysWindows) {
  v1::Policy loose;
  loose.mutable_link()->set_bytes_per_day(50'000'000);
  loose.mutable_link()->add_windows("22:00-06:00");
  v1::Policy tight;
  tight.mutable_link()->set_bytes_per_day(5'000'000);
  tight.mutable_link()->add_windows("01:00-03:00");
  const Limits limits = LimitsOf({&loose, &tight});
  EXPECT_EQ(limits.link_bytes_per_day, 5'000'000);
  EXPECT_EQ(limits.link_windows.size(), 2U);
  EXPECT_TRUE(limits.windows.empty());
}

TEST(LinkLimitsTest, FewerBytesThanHeartbeatsTakeAndABadWindowAreRefused) {
  for (const Field& field : Fields()) {
    if (field.name != "link") {
      continue;
    }
    v1::Policy policy;
    EXPECT_TRUE(field.check(policy).ok());
    policy.mutable_link()->set_bytes_per_day(kLinkBytesPerDayMin - 1);
    EXPECT_FALSE(field.check(policy).ok());
    policy.mutable_link()->set_bytes_per_day(kLinkBytesPerDayMin);
    EXPECT_TRUE(field.check(policy).ok());
    policy.mutable_link()->add_windows("22:00");
    EXPECT_FALSE(field.check(policy).ok());
    return;
  }
  FAIL() << "no row";
}

}  // namespace
}  // namespace wattle::policy
