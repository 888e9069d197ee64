// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests INA2xx chips as their kernel drivers show them, and the effect of settings.
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

TEST(Ina2xxTest, ASingleMonitorMeasuresTheBoardsInput) {
  Tree tree;
  tree.Write("/sys/class/hwmon/hwmon4", {{"name", "ina226"},
                                         {"in0_input", "3"},
                                         {"in1_input", "12040"},
                                         {"curr1_input", "-412"},
                                         {"power1_input", "4950000"},
                                         {"shunt_resistor", "10000"},
                                         {"update_interval", "35"}});
  const auto source = Only(Discover("ina2xx", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_NEAR(TotalWatts(*source), 4.95, 1e-9);
  EXPECT_EQ(source->info().scope, "board_input");
  EXPECT_EQ(source->info().cadence, absl::Milliseconds(100));
}

TEST(Ina2xxTest, WithoutAPowerRegisterItIsBusVoltageTimesCurrent) {
  Tree tree;
  tree.Write(
      "/sys/class/hwmon/hwmon4",
      {{"name", "ina219"}, {"in0_input", "20"}, {"in1_input", "5000"}, {"curr1_input", "700"}});
  EXPECT_NEAR(TotalWatts(*Only(Discover("ina2xx", tree.root()))), 3.5, 1e-9);
}

TEST(Ina2xxTest, OfSeveralMonitorsNoneIsTheTotal) {
  Tree tree;
  for (const std::string chip : {"hwmon4", "hwmon5"}) {
    tree.Write("/sys/class/hwmon/" + chip, {{"name", "ina219"}, {"power1_input", "1000000"}});
  }
  const auto found = Discover("ina2xx", tree.root());
  ASSERT_THAT(found, testing::SizeIs(2));
  EXPECT_FALSE(found[0].source->info().measures_power());
  EXPECT_NE(found[0].name, found[1].name);
}

// Two chips of one kind on a HAT: the board's output at 0x40 and the battery at 0x41, whose shunt
// is a tenth of the driver's setting.
void WriteHat(Tree& tree) {
  for (const std::string chip : {"hwmon4", "hwmon5"}) {
    const bool battery = chip == "hwmon5";
    tree.Write("/sys/class/hwmon/" + chip, {{"name", "ina219"},
                                            {"in1_input", battery ? "7900" : "5100"},
                                            {"curr1_input", battery ? "-80" : "700"},
                                            {"power1_input", battery ? "632000" : "3570000"}});
    std::filesystem::create_symlink(battery ? "../../../1-0041" : "../../../1-0040",
                                    tree.root() + "/sys/class/hwmon/" + chip + "/device");
  }
}

TEST(Ina2xxTest, SettingsSayWhichChipIsTheBoardAndWhatItsShuntIs) {
  Tree tree;
  WriteHat(tree);
  const auto found = Discover(
      "ina2xx", tree.root(),
      {{.kind = "ina2xx", .values = {{"device", "1-0040"}, {"position", "output"}}},
       {.kind = "ina2xx",
        .values = {{"device", "1-0041"}, {"position", "battery"}, {"current_scale", "10"}}}});
  ASSERT_THAT(found, testing::SizeIs(2));
  EXPECT_NEAR(TotalWatts(*found[0].source), 3.57, 1e-9);
  EXPECT_FALSE(found[1].source->info().measures_power());
  const auto battery = found[1].source->Poll(Monotonic());
  ASSERT_THAT(battery, IsOk());
  EXPECT_NEAR(std::get<Watts>(battery->at(0).value).value(), -6.32, 1e-9);
}

TEST(Ina2xxTest, AtABatteryOfKnownChemistryTheVoltageTellsTheCharge) {
  Tree tree;
  WriteHat(tree);
  const auto found = Discover("ina2xx", tree.root(),
                              {{.kind = "ina2xx",
                                .values = {{"device", "1-0041"},
                                           {"position", "battery"},
                                           {"chemistry", "li-ion"},
                                           {"cells", "2"},
                                           {"capacity_wh", "37"}}}});
  ASSERT_THAT(found, testing::SizeIs(2));
  Source& battery = *found[1].source;
  EXPECT_TRUE(battery.info().has_gauge());
  EXPECT_GT(battery.info().gauge_error, Fraction(0.05));
  const auto readings = battery.Poll(Monotonic());
  ASSERT_THAT(readings, IsOk());
  const auto& charge = std::get<ChargeState>(readings->at(1).value);
  EXPECT_NEAR(charge.state_of_charge.value(), 0.70, 1e-9);  // 3.95 V a cell
  EXPECT_NEAR(charge.draw->value(), 0.632, 1e-9);
  EXPECT_FALSE(charge.charging);
  tree.Write("/sys/class/hwmon/hwmon5", {{"in1_input", "12600"}});  // three cells, not two
  EXPECT_THAT(battery.Poll(Monotonic()), StatusIs(StatusCode::kInternal, HasSubstr("`cells`")));
}

TEST(Ina2xxTest, TheBatterysResistanceTakesTheSagUnderLoadBack) {
  Tree tree;
  WriteHat(tree);
  const auto found = Discover("ina2xx", tree.root(),
                              {{.kind = "ina2xx",
                                .values = {{"device", "1-0041"},
                                           {"position", "battery"},
                                           {"chemistry", "li-ion"},
                                           {"cells", "2"},
                                           {"resistance_ohms", "0.5"}}}});
  ASSERT_THAT(found, testing::SizeIs(2));
  // With 80 mA out of the battery, 7.90 V under load are 7.94 V at rest; while it charges, 7.86 V.
  const auto discharging = found[1].source->Poll(Monotonic());
  ASSERT_THAT(discharging, IsOk());
  EXPECT_NEAR(std::get<ChargeState>(discharging->at(1).value).state_of_charge.value(),
              0.70 + 0.05 * 2 / 3, 1e-6);
  tree.Write("/sys/class/hwmon/hwmon5", {{"curr1_input", "80"}});
  const auto charging = found[1].source->Poll(Monotonic());
  ASSERT_THAT(charging, IsOk());
  EXPECT_NEAR(std::get<ChargeState>(charging->at(1).value).state_of_charge.value(), 0.65 + 0.05 / 2,
              1e-6);
  EXPECT_TRUE(std::get<ChargeState>(charging->at(1).value).charging);
}

TEST(Ina2xxTest, AnEntryForAChipThatIsNotThereIsAProblemWithTheRemedy) {
  Tree tree;
  WriteHat(tree);
  const auto found =
      Discover("ina2xx", tree.root(), {{.kind = "ina2xx", .values = {{"device", "1-0045"}}}});
  ASSERT_THAT(found, testing::SizeIs(3));
  EXPECT_THAT(found[2].problem, StatusIs(StatusCode::kNotFound, HasSubstr("1-0045")));
}

TEST(Ina2xxTest, AChipThatCountsEnergyIsReadByItsCounter) {
  Tree tree;
  tree.Write("/sys/class/hwmon/hwmon4",
             {{"name", "ina228"}, {"power1_input", "4950000"}, {"energy1_input", "240422366"}});
  const auto source = Only(Discover("ina2xx", tree.root()));
  ASSERT_NE(source, nullptr);
  const auto readings = source->Poll(Monotonic());
  ASSERT_THAT(readings, IsOk());
  for (const Reading& reading : *readings) {
    const auto* count = std::get_if<EnergyCount>(&reading.value);
    EXPECT_EQ(source->info().channels[reading.channel].in_total, count != nullptr);
    if (count != nullptr) {
      EXPECT_NEAR(count->value.value(), 240.422366, 1e-9);
    }
  }
}

TEST(Ina2xxTest, AChipWithoutAValueIsAnErrorAndNeverZero) {
  Tree tree;
  tree.Write("/sys/class/hwmon/hwmon4", {{"name", "ina226"}, {"power1_input", "4950000"}});
  const auto source = Only(Discover("ina2xx", tree.root()));
  tree.Write("/sys/class/hwmon/hwmon4", {{"power1_input", ""}});
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("power1")));
  tree.Write("/sys/class/hwmon/hwmon4", {{"power1_input", "49 W"}});
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kInternal, HasSubstr("49 W")));
  std::filesystem::remove_all(tree.root() + "/sys/class/hwmon/hwmon4");
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kNotFound, HasSubstr("power1")));
}

}  // namespace
}  // namespace wattle::telemetry
