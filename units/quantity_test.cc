// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "units/quantity.h"

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(QuantityTest, PowerTimesTimeIsEnergy) {
  EXPECT_DOUBLE_EQ((Watts(14.29) * absl::Seconds(14561)).value(), 14.29 * 14561);
  EXPECT_DOUBLE_EQ((Joules(100.0) / absl::Seconds(4)).value(), 25.0);
  EXPECT_EQ(Joules(100.0) / Watts(25.0), absl::Seconds(4));
}

TEST(QuantityTest, WattHoursRoundTrip) {
  EXPECT_DOUBLE_EQ(FromWattHours(1.0).value(), 3600.0);
  EXPECT_DOUBLE_EQ(ToWattHours(FromWattHours(57.82)), 57.82);
}

TEST(QuantityTest, OrderAndArithmeticAreThoseOfNumbers) {
  EXPECT_LT(Watts(1.0), Watts(2.0));
  EXPECT_DOUBLE_EQ((Watts(3.0) - Watts(1.0) + Watts(0.5) * 2.0).value(), 3.0);
  EXPECT_DOUBLE_EQ(Joules(6.0) / Joules(3.0), 2.0);
}

}  // namespace
}  // namespace wattle
