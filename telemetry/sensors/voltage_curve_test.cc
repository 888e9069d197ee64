// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/voltage_curve.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

constexpr Chemistry kAll[] = {Chemistry::kLithiumIon, Chemistry::kLithiumIronPhosphate,
                              Chemistry::kLead};

TEST(VoltageCurveTest, ChargeNeverFallsAsTheVoltageRises) {
  for (const Chemistry chemistry : kAll) {
    double before = -1;
    for (int millivolts = 1500; millivolts < 4500; ++millivolts) {
      const double charge = ChargeAtRest(chemistry, millivolts * 1e-3).value();
      ASSERT_GE(charge, std::max(before, 0.0)) << millivolts;
      ASSERT_LE(charge, 1.0) << millivolts;
      before = charge;
    }
    EXPECT_EQ(before, 1.0);
  }
}

TEST(VoltageCurveTest, KnownPoints) {
  EXPECT_NEAR(ChargeAtRest(Chemistry::kLithiumIon, 3.84).value(), 0.5, 1e-9);
  EXPECT_NEAR(ChargeAtRest(Chemistry::kLead, 12.24 / 6).value(), 0.6, 1e-9);
  EXPECT_NEAR(ChargeAtRest(Chemistry::kLithiumIronPhosphate, 13.2 / 4).value(), 0.7, 1e-9);
}

// The truth lies within the stated error for every shift of a cell by up to 50 mV.
TEST(VoltageCurveTest, TheStatedErrorCoversAVoltageThatIsOff) {
  for (const Chemistry chemistry : kAll) {
    const double error = VoltageChargeError(chemistry).value();
    EXPECT_GT(error, 0.05);
    EXPECT_LT(error, 0.5);
    for (int millivolts = 1500; millivolts < 4500; ++millivolts) {
      const double truth = ChargeAtRest(chemistry, millivolts * 1e-3).value();
      for (int off = -50; off <= 50; off += 10) {
        const double told = ChargeAtRest(chemistry, (millivolts + off) * 1e-3).value();
        ASSERT_LE(std::abs(told - truth), error + 1e-9) << millivolts << " mV, off by " << off;
      }
    }
  }
  // A flatter curve has a larger error.
  EXPECT_GT(VoltageChargeError(Chemistry::kLithiumIronPhosphate),
            VoltageChargeError(Chemistry::kLithiumIon));
}

TEST(VoltageCurveTest, APackComesFromSettings) {
  EXPECT_EQ(PackOf({.kind = "ina2xx"}), std::nullopt);
  const auto pack = PackOf(
      {.kind = "ina2xx", .values = {{"chemistry", "lead"}, {"cells", "6"}, {"capacity_wh", "84"}}});
  ASSERT_TRUE(pack.has_value());
  const auto charge = ChargeFromVoltage(*pack, 12.24);
  ASSERT_THAT(charge, IsOk());
  EXPECT_NEAR(charge->state_of_charge.value(), 0.6, 1e-9);
  EXPECT_NEAR(ToWattHours(*charge->capacity), 84, 1e-9);
}

TEST(VoltageCurveTest, AVoltageThatTheBatteryCannotHaveIsAnError) {
  const BatteryPack pack = {.chemistry = Chemistry::kLithiumIon, .cells = 2};
  for (const double volts : {0.0, 3.2, 12.6, -8.0, std::nan("")}) {
    EXPECT_THAT(ChargeFromVoltage(pack, volts),
                StatusIs(StatusCode::kInternal, HasSubstr("`cells`")));
  }
  EXPECT_THAT(ChargeFromVoltage(pack, 6.0), IsOk());  // an empty battery, not a fault
}

TEST(VoltageCurveTest, WithACurrentTheVoltageIsABoundOnEachSide) {
  const BatteryPack pack = {
      .chemistry = Chemistry::kLithiumIon, .cells = 2, .capacity = FromWattHours(38)};
  const auto idle = ChargeFromVoltage(pack, 7.68, 0.0, 0);  // 3.84 V a cell
  ASSERT_THAT(idle, IsOk());
  ASSERT_TRUE(idle->by_voltage.has_value());
  EXPECT_EQ(idle->by_voltage->low, ChargeAtRest(Chemistry::kLithiumIon, 3.82));
  EXPECT_EQ(idle->by_voltage->high, ChargeAtRest(Chemistry::kLithiumIon, 3.86));
  EXPECT_NEAR(RestDrain(*pack.capacity).value(), 3.8, 1e-9);
  EXPECT_FALSE(idle->charging);
  // 1 A at the mean voltage of the curve, which is 3.86 V a cell.
  const auto loaded = ChargeFromVoltage(pack, 7.68, 1.0, 0.1);
  ASSERT_THAT(loaded, IsOk());
  EXPECT_NEAR(loaded->by_voltage->drain.value(), 7.7165, 1e-4);
  EXPECT_NEAR(loaded->draw->value(), 7.68, 1e-9);
  EXPECT_LT(loaded->by_voltage->low, idle->by_voltage->low);
  EXPECT_GT(loaded->by_voltage->high, idle->by_voltage->high);
  EXPECT_TRUE(ChargeFromVoltage(pack, 7.68, -1.0, 0)->charging);
  // Without a capacity nothing can be counted.
  EXPECT_FALSE(ChargeFromVoltage({.cells = 2}, 7.68, 1.0, 0)->by_voltage.has_value());
}

}  // namespace
}  // namespace wattle::telemetry
