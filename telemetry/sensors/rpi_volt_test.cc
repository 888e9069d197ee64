// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

constexpr char kHwmon[] = "/sys/class/hwmon/hwmon2";

// Whether the supply is too weak now, and how often it became so.
std::pair<bool, double> Look(Source& source) {
  const auto readings = source.Poll(Monotonic());
  EXPECT_THAT(readings, IsOk());
  return {std::get<UnderVoltage>(readings->at(0).value).now,
          std::get<Tally>(readings->at(1).value).value};
}

TEST(RpiVoltTest, EachDipIsTold) {
  Tree tree;
  tree.Write(kHwmon, {{"name", "rpi_volt"}, {"in0_lcrit_alarm", "0"}});
  const auto source = Only(Discover("rpi_volt", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(Look(*source), std::pair(false, 0.0));
  for (const double events : {1.0, 2.0}) {
    tree.Write(kHwmon, {{"in0_lcrit_alarm", "1"}});
    EXPECT_EQ(Look(*source), std::pair(true, events));
    EXPECT_EQ(Look(*source), std::pair(true, events)) << "the same dip";
    tree.Write(kHwmon, {{"in0_lcrit_alarm", "0"}});
    EXPECT_EQ(Look(*source), std::pair(false, events));
  }
}

TEST(RpiVoltTest, AnAlarmWithoutAValueIsAnError) {
  Tree tree;
  tree.Write(kHwmon, {{"name", "rpi_volt"}, {"in0_lcrit_alarm", "0"}});
  const auto source = Only(Discover("rpi_volt", tree.root()));
  tree.Write(kHwmon, {{"in0_lcrit_alarm", ""}});
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

TEST(RpiVoltTest, OtherChipsAreNone) {
  Tree tree;
  tree.Write(kHwmon, {{"name", "cpu_thermal"}, {"in0_lcrit_alarm", "0"}});
  tree.Write("/sys/class/hwmon/hwmon3", {{"name", "rpi_volt"}});
  EXPECT_THAT(Discover("rpi_volt", tree.root()), testing::IsEmpty());
}

}  // namespace
}  // namespace wattle::telemetry
