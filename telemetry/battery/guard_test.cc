// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The guard's rules one by one. That they keep the promise over hundreds of random days, with the
// agent's own wiring, is shown in worker/agent/core/guard_days_test.cc.
#include "telemetry/battery/guard.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

Monotonic At(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}

const GuardSettings kMast = {
    .has_gauge = true, .gauge_error = Fraction(0.05), .has_thermometer = true};
const policy::StopEstimate kWork = {.step = absl::Seconds(40), .load = Watts(10)};

policy::Limits Reserve(double ratio) {
  return {.reserve = policy::ReserveLimit{Fraction(ratio), "mast"}};
}
policy::Limits Hot(double celsius) {
  return {.temperature_max = policy::TemperatureLimit{Celsius(celsius), "box"}};
}

// A battery of 110 kJ: kWork holds back 1 % of it, so work stops at reserve + 5 % + 1 %.
class BatteryGuardTest : public testing::Test {
 protected:
  std::string CheckAt(double seconds, double charge) {
    guard_.AddCharge(At(seconds), Fraction(charge), Joules(110'000));
    return guard_.Check(Reserve(0.3), kWork, At(seconds));
  }
  std::string CheckAt(double seconds) { return guard_.Check(Reserve(0.3), kWork, At(seconds)); }
  Guard guard_{kMast};
};

TEST_F(BatteryGuardTest, StopsAtTheThresholdAndResumesWithHysteresis) {
  EXPECT_THAT(CheckAt(0, 0.361), IsEmpty());
  EXPECT_THAT(CheckAt(1, 0.36), HasSubstr("reserve 30 %"));
  EXPECT_THAT(CheckAt(2, 0.389), HasSubstr("resumes above 39.0 %"));
  EXPECT_THAT(CheckAt(3, 0.391), IsEmpty());
}

TEST_F(BatteryGuardTest, WithoutAnyReadingNoWorkStarts) {
  EXPECT_THAT(CheckAt(0), HasSubstr("no reading yet"));
}

TEST_F(BatteryGuardTest, AReadingThatIsTooOldIsNone) {
  EXPECT_THAT(CheckAt(0, 0.8), IsEmpty());
  EXPECT_THAT(CheckAt(30), IsEmpty());
  EXPECT_THAT(CheckAt(30.1), HasSubstr("no plausible reading for 30 s"));
  EXPECT_EQ(guard_.Charge(At(30.1)), std::nullopt);
  EXPECT_THAT(CheckAt(31, 0.8), IsEmpty());
}

TEST_F(BatteryGuardTest, OneAbsurdReadingIsASensorFaultAndNotAnEmptyBattery) {
  EXPECT_THAT(CheckAt(0, 0.61), IsEmpty());
  EXPECT_THAT(CheckAt(1, 0.0), IsEmpty());
  EXPECT_THAT(CheckAt(2, 0.61), IsEmpty());
  EXPECT_EQ(guard_.implausible_readings(), 1);
}

TEST_F(BatteryGuardTest, AReadingThatStandsIsBelievedBeforeTheOldOneIsTooOld) {
  EXPECT_THAT(CheckAt(0, 0.61), IsEmpty());
  for (int second = 1; second <= 20; ++second) {
    EXPECT_THAT(CheckAt(second, 0.0), IsEmpty()) << second;
  }
  EXPECT_THAT(CheckAt(21, 0.0), HasSubstr("battery at 0 %"));
}

TEST_F(BatteryGuardTest, AbsurdReadingsThatContradictEachOtherAreNeverBelieved) {
  EXPECT_THAT(CheckAt(0, 0.61), IsEmpty());
  for (int second = 1; second <= 60; ++second) {
    CheckAt(second, second % 2 == 0 ? 0.0 : 0.3);
  }
  EXPECT_THAT(CheckAt(61), HasSubstr("no plausible reading for 61 s"));
}

TEST_F(BatteryGuardTest, ABatteryCanFallFarWhileNobodyLooked) {
  EXPECT_THAT(CheckAt(0, 0.9), IsEmpty());
  EXPECT_THAT(CheckAt(600, 0.35), HasSubstr("battery at 35 %"));
}

TEST_F(BatteryGuardTest, AReadingThatComesLateDoesNotReplaceANewerOne) {
  EXPECT_THAT(CheckAt(10, 0.5), IsEmpty());
  guard_.AddCharge(At(5), Fraction(0.45), std::nullopt);
  EXPECT_EQ(guard_.Charge(At(10))->value, Fraction(0.5));
}

TEST(GuardWithoutGaugeTest, IsWarnedOfOrRefusedAsThePolicySays) {
  Guard guard({});
  policy::Limits limits = Reserve(0.3);
  EXPECT_THAT(guard.Check(limits, kWork, At(0)), IsEmpty());
  EXPECT_THAT(guard.warning(), HasSubstr("policy mast keeps a reserve"));
  limits.refuses_missing_gauge = "mast";
  EXPECT_THAT(guard.Check(limits, kWork, At(1)), HasSubstr("refuses devices without"));
  EXPECT_THAT(guard.Check({}, kWork, At(2)), IsEmpty());
  EXPECT_THAT(guard.warning(), IsEmpty());
}

TEST(GuardTemperatureTest, HasHysteresisToo) {
  Guard guard(kMast);
  auto check = [&guard](double seconds, double celsius) {
    guard.AddTemperature(At(seconds), Celsius(celsius));
    return guard.Check(Hot(80), kWork, At(seconds));
  };
  EXPECT_THAT(check(0, 80), IsEmpty());
  EXPECT_THAT(check(1, 80.5), HasSubstr("80.5 °C"));
  EXPECT_THAT(check(2, 76), HasSubstr("limit 80.0 °C"));
  EXPECT_THAT(check(3, 75), IsEmpty());
}

TEST(GuardTemperatureTest, AThermometerThatFailsWhileTheDeviceIsTooHotDoesNotCoolIt) {
  Guard guard(kMast);
  guard.AddTemperature(At(0), Celsius(90));
  EXPECT_THAT(guard.Check(Hot(80), kWork, At(0)), HasSubstr("90.0 °C"));
  EXPECT_THAT(guard.Check(Hot(80), kWork, At(3600)), HasSubstr("tells nothing since 3600 s"));
  guard.AddTemperature(At(3601), Celsius(60));
  EXPECT_THAT(guard.Check(Hot(80), kWork, At(3601)), IsEmpty());
}

TEST(GuardTemperatureTest, ALostThermometerStopsWorkAndAMissingOneIsWarnedOf) {
  Guard guard(kMast);
  EXPECT_THAT(guard.Check(Hot(80), kWork, At(0)), HasSubstr("no reading yet"));
  guard.AddTemperature(At(0), Celsius(50));
  EXPECT_THAT(guard.Check(Hot(80), kWork, At(30)), IsEmpty());
  EXPECT_THAT(guard.Check(Hot(80), kWork, At(31)), HasSubstr("no reading for 31 s"));
  Guard bare({});
  EXPECT_THAT(bare.Check(Hot(80), kWork, At(0)), IsEmpty());
  EXPECT_THAT(bare.warning(), HasSubstr("no thermometer"));
}

TEST(GuardLimitsTest, LimitsThatCannotBeReadHoldTheDevice) {
  Guard guard(kMast);
  EXPECT_THAT(guard.Check({.unreadable = "desired.pb: checksum"}, kWork, At(0)),
              HasSubstr("desired.pb: checksum"));
}

}  // namespace
}  // namespace wattle::telemetry
