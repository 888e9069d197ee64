// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/battery/charge.h"

#include "gtest/gtest.h"

namespace wattle::scheduler {
namespace {

BatteryState HalfFull() {
  return {.capacity = FromWattHours(100), .charge = Fraction(0.5), .committed = FromWattHours(10)};
}

TEST(ChargeTest, CommittedWorkCountsBeforeTheDemand) {
  EXPECT_NEAR(ChargeAfter(HalfFull(), FromWattHours(15)).value(), 0.25, 1e-12);
  EXPECT_LT(ChargeAfter(HalfFull(), FromWattHours(45)).value(), 0);
}

TEST(ChargeTest, ShortfallIsZeroExactlyFromTheNeededChargeOn) {
  BatteryState battery = HalfFull();
  const Joules demand = FromWattHours(15);
  const Joules margin = FromWattHours(5);
  const Fraction reserve(0.3);
  EXPECT_NEAR(Shortfall(battery, demand, margin, reserve).value(), FromWattHours(10).value(), 1e-6);
  battery.charge = ChargeNeeded(battery, demand, margin, reserve);
  EXPECT_NEAR(battery.charge.value(), 0.6, 1e-12);
  EXPECT_NEAR(Shortfall(battery, demand, margin, reserve).value(), 0, 1e-6);
  battery.charge = Fraction(0.7);
  EXPECT_EQ(Shortfall(battery, demand, margin, reserve), Joules(0));
}

}  // namespace
}  // namespace wattle::scheduler
