// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "units/format.h"

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(FormatTest, SmallEnergyIsInJoules) {
  EXPECT_EQ(FormatEnergy(FromWattHours(57.82)), "57.82 Wh");
  EXPECT_EQ(FormatEnergy(Joules(143.24)), "143.2 J");
  EXPECT_EQ(FormatEnergy(Joules(3600.0)), "1.00 Wh");
  EXPECT_EQ(FormatEnergy(FromWattHours(410.04)), "410.0 Wh");
  EXPECT_EQ(FormatEnergy(FromWattHours(41004.18)), "41.00 kWh");
}

TEST(FormatTest, DurationPicksItsUnits) {
  EXPECT_EQ(FormatElapsed(absl::Milliseconds(41)), "41 ms");
  EXPECT_EQ(FormatElapsed(absl::Seconds(8.26)), "8.3 s");
  EXPECT_EQ(FormatElapsed(absl::Seconds(725)), "12 min 05 s");
  EXPECT_EQ(FormatElapsed(absl::Seconds(14561)), "4 h 02 min");
}

TEST(FormatTest, BytesAndPercent) {
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(1536LL * 1024 * 1024), "1.5 GiB");
  EXPECT_EQ(FormatPercent(Fraction(0.42)), "42 %");
  EXPECT_EQ(FormatTemperature(Celsius(35.42)), "35.4 °C");
}

}  // namespace
}  // namespace wattle
