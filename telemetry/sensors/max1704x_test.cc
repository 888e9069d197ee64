// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests fuel gauges by their registers in a recorded tree.
#include "telemetry/sensors/max1704x.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

class Max1704xTest : public testing::Test {
 protected:
  std::unique_ptr<Source> Gauge(const std::string& chip) {
    return Only(Discover(
        "max1704x", tree_.root(),
        {{.kind = "max1704x", .values = {{"bus", "1"}, {"chip", chip}, {"capacity_wh", "37"}}}}));
  }
  void Registers(const std::string& voltage, const std::string& charge) {
    tree_.Write("/i2c/1-0036", {{"02", voltage}, {"04", charge}});
  }
  Tree tree_;
};

TEST_F(Max1704xTest, ChargeAndVoltageOfEachChip) {
  const struct {
    const char* chip;
    const char* voltage;  // 3.75 V, or twice that for two cells
    double volts;
  } cases[] = {{"max17040", "bb80", 3.75}, {"max17043", "bb80", 3.75}, {"max17041", "bb80", 7.5},
               {"max17044", "bb80", 7.5},  {"max17048", "bb80", 3.75}, {"max17049", "bb80", 3.75}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.chip);
    Registers(test.voltage, "4d80");  // 77.5 %
    const auto readings = Gauge(test.chip)->Poll(Monotonic());
    ASSERT_THAT(readings, IsOk());
    const auto& charge = std::get<ChargeState>(readings->at(0).value);
    EXPECT_NEAR(charge.state_of_charge.value(), 0.775, 1e-9);
    EXPECT_NEAR(ToWattHours(*charge.capacity), 37, 1e-9);
    EXPECT_FALSE(charge.draw.has_value());
    EXPECT_NEAR(std::get<Level>(readings->at(1).value).value, test.volts, 1e-9);
  }
}

TEST_F(Max1704xTest, ALittleMoreThanFullIsFull) {
  Registers("d200", "6500");  // 101 %
  const auto readings = Gauge("max17048")->Poll(Monotonic());
  ASSERT_THAT(readings, IsOk());
  EXPECT_EQ(std::get<ChargeState>(readings->at(0).value).state_of_charge, Fraction(1));
}

TEST_F(Max1704xTest, AnEmptyBusAnEmptyBayAndAbsentRegistersAreErrors) {
  Registers("ffff", "ffff");
  const auto gauge = Gauge("max17048");
  EXPECT_THAT(gauge->Poll(Monotonic()), StatusIs(StatusCode::kInternal, HasSubstr("another chip")));
  Registers("0", "0");
  EXPECT_THAT(gauge->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("no battery")));
  Registers("12345", "0");
  EXPECT_THAT(gauge->Poll(Monotonic()), StatusIs(StatusCode::kInternal, HasSubstr("12345")));
  std::filesystem::remove_all(tree_.root() + "/i2c");
  EXPECT_THAT(gauge->Poll(Monotonic()), StatusIs(StatusCode::kNotFound, HasSubstr("1-0036")));
}

TEST_F(Max1704xTest, WhatTheBusDeniesIsPassedOn) {
  const auto gauge = MakeMax1704x({.kind = "max1704x", .values = {{"bus", "1"}}}, [](uint8_t) {
    return absl::StatusOr<uint16_t>(absl::PermissionDeniedError("group i2c"));
  });
  EXPECT_THAT(gauge->Poll(Monotonic()), StatusIs(StatusCode::kPermissionDenied, HasSubstr("i2c")));
}

TEST_F(Max1704xTest, ABusThatIsNotThereNamesTheRemedy) {
  const auto found = Discover("max1704x", "", {{.kind = "max1704x", .values = {{"bus", "253"}}}});
  EXPECT_THAT(found.at(0).source->Poll(Monotonic()),
              StatusIs(StatusCode::kNotFound, HasSubstr("i2c-dev")));
}

}  // namespace
}  // namespace wattle::telemetry
