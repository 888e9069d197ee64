// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/charge_counter.h"

#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

constexpr Joules kCapacity = FromWattHours(40);
constexpr absl::Duration kRest = absl::Minutes(30);

Monotonic CountedAt(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}

BatteryCurrent Current(double seconds, double watts, double low = 0, double high = 1) {
  return {.at = CountedAt(seconds),
          .source = "ina219 battery",
          .capacity = kCapacity,
          .drain = Watts(watts),
          .rest_drain = kCapacity / absl::Hours(10),
          .low = Fraction(low),
          .high = Fraction(high),
          .rest_time = kRest,
          .charge_loss = 0.02};
}

// A reading a second at a constant current.
CountedCharge Pass(ChargeCounter& counter, double from, double seconds, double watts,
                   double low = 0, double high = 1) {
  CountedCharge charge;
  for (double at = from + 1; at <= from + seconds; ++at) {
    charge = counter.Add(Current(at, watts, low, high));
  }
  return charge;
}

double Low(const CountedCharge& charge) {
  return (charge.state_of_charge - charge.error).value();
}
double High(const CountedCharge& charge) {
  return (charge.state_of_charge + charge.error).value();
}

TEST(ChargeCounterTest, TheFirstReadingIsTheVoltagesAndALoadWidensItUpwards) {
  ChargeCounter idle;
  const CountedCharge at_rest = idle.Add(Current(0, 1, 0.5, 0.6));
  EXPECT_NEAR(Low(at_rest), 0.45, 1e-9);
  EXPECT_NEAR(High(at_rest), 0.65, 1e-9);
  ChargeCounter busy;
  const CountedCharge loaded = busy.Add(Current(0, 10, 0.5, 0.6));
  EXPECT_NEAR(Low(loaded), 0.45, 1e-9);
  EXPECT_NEAR(High(loaded), 0.70, 1e-9);
}

TEST(ChargeCounterTest, WhatFlowsIsCountedAndItsErrorGrowsWithIt) {
  ChargeCounter counter;
  counter.Resume({"ina219 battery", kCapacity, {Fraction(0.8), Fraction(0.02)}, CountedAt(0)});
  counter.Add(Current(0, 20));
  const CountedCharge charge = Pass(counter, 0, 1800, 20);  // 10 of 40 Wh
  EXPECT_NEAR(charge.state_of_charge.value(), 0.55, 0.001);
  EXPECT_NEAR(charge.error.value(), 0.02 + 0.14 * 0.25, 0.001);
  const CountedCharge after = Pass(counter, 1800, 1800, -20);
  EXPECT_NEAR(after.state_of_charge.value(), 0.8 - 0.0025, 0.001);  // half of the greatest loss
}

TEST(ChargeCounterTest, UnderLoadTheVoltageBoundsFromBelowAloneAndAfterRestFromBothSides) {
  ChargeCounter counter;
  counter.Resume({"ina219 battery", kCapacity, {Fraction(0.5), Fraction(0.2)}, CountedAt(0)});
  counter.Add(Current(0, 10));
  // For half an hour after the start a charger may still lift the voltage.
  CountedCharge charge = Pass(counter, 0, 60, 10, 0.45, 0.5);
  EXPECT_LT(Low(charge), 0.31);
  charge = Pass(counter, 60, 1800, 10, 0.40, 0.45);
  EXPECT_NEAR(Low(charge), 0.40, 1e-9);
  EXPECT_GT(High(charge), 0.55);
  // The load goes: the voltage rises towards rest, and is that of rest half an hour later.
  charge = Pass(counter, 1860, 1799, 1, 0.42, 0.50);
  EXPECT_GT(High(charge), 0.54);
  charge = Pass(counter, 3659, 2, 1, 0.42, 0.50);
  EXPECT_NEAR(High(charge), 0.50, 1e-4);
  EXPECT_NEAR(Low(charge), 0.42, 1e-9);
}

TEST(ChargeCounterTest, WhereCountAndVoltageContradictEachOtherTheVoltageIsRight) {
  ChargeCounter counter;
  counter.Resume({"ina219 battery", kCapacity, {Fraction(0.9), Fraction(0.02)}, CountedAt(0)});
  counter.Add(Current(0, 1, 0.3, 0.4));
  const CountedCharge charge = Pass(counter, 0, 1801, 1, 0.3, 0.4);
  EXPECT_GE(Low(charge), 0.3 - 1e-9);
  EXPECT_LE(High(charge), 0.4 + 1e-9);
}

TEST(ChargeCounterTest, AGapWidensByWhatMayHaveFlowed) {
  ChargeCounter counter;
  counter.Resume({"ina219 battery", kCapacity, {Fraction(0.5), Fraction(0.02)}, CountedAt(0)});
  counter.Add(Current(0, 4));
  CountedCharge charge = counter.Add(Current(5, 4));
  EXPECT_NEAR(charge.error.value(), 0.02, 0.0002);
  charge = counter.Add(Current(5 + 1440, 4));  // a tenth of four hours
  EXPECT_NEAR(charge.error.value(), 0.12, 0.002);
  EXPECT_NEAR(charge.state_of_charge.value(), 0.5, 0.001);
  EXPECT_EQ(counter.Add(Current(100, -500)).error, charge.error);  // older: ignored
}

TEST(ChargeCounterTest, AnotherBatteryIsNotTheOneThatWasCounted) {
  for (const auto& standing :
       {ChargeCounter::Standing{"ina219 battery", 2 * kCapacity, {Fraction(0.9), {}}, CountedAt(0)},
        ChargeCounter::Standing{"ina226 battery", kCapacity, {Fraction(0.9), {}}, CountedAt(0)},
        ChargeCounter::Standing{"ina219 battery", kCapacity, {Fraction(0.9), {}}, CountedAt(99)}}) {
    ChargeCounter counter;
    counter.Resume(standing);
    EXPECT_NEAR(counter.Add(Current(1, 1, 0.3, 0.4)).state_of_charge.value(), 0.35, 1e-9);
  }
}

}  // namespace
}  // namespace wattle::telemetry
