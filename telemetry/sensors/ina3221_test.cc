// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the INA3221 sources on literal file trees of Jetson boards, and each known pitfall.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Ina3221Test, TheModuleInputIsTheTotalAndNothingIsAddedToIt) {
  Tree tree;
  WriteOrinNano(tree);
  tree.Write("/sys/class/hwmon/hwmon0", {{"name", "cpu_thermal"}, {"temp1_input", "45000"}});
  const auto source = Only(Discover("ina3221", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_NEAR(TotalWatts(*source), 9.250304, 1e-9);
  EXPECT_EQ(source->info().scope, "module");
  EXPECT_EQ(source->info().cadence, absl::Milliseconds(430));
  EXPECT_TRUE(source->info().averages);
}

TEST(Ina3221Test, EveryRailIsAChannelAndShuntSumAndCurrentSumAreNone) {
  Tree tree;
  WriteOrinNano(tree);
  const auto source = Only(Discover("ina3221", tree.root()));
  EXPECT_THAT(ChannelNames(*source), ElementsAre("VDD_CPU_GPU_CV", "VDD_IN", "VDD_SOC"));
  EXPECT_THAT(*source->Poll(Monotonic()), testing::SizeIs(3));
}

// AGX Orin, about 20 V: no rail includes all others. The second chip's only rail is below
// VIN_SYS_5V0; its other channels are not connected. The cadence is that of the chip whose rails
// are in the total.
TEST(Ina3221Test, WithoutAParentRailTheTopRailsAreSummed) {
  Tree tree;
  tree.Write("/sys/class/hwmon/hwmon3", {{"name", "ina3221"},
                                         {"in1_label", "VDD_GPU_SOC"},
                                         {"in1_input", "19864"},
                                         {"curr1_input", "180"},
                                         {"in2_label", "VDD_CPU_CV"},
                                         {"in2_input", "19864"},
                                         {"curr2_input", "40"},
                                         {"in3_label", "VIN_SYS_5V0"},
                                         {"in3_input", "5064"},
                                         {"curr3_input", "600"},
                                         {"update_interval", "430"}});
  tree.Write("/sys/class/hwmon/hwmon2", {{"name", "ina3221"},
                                         {"in1_label", "NC"},
                                         {"in2_label", "VDDQ_VDD2_1V8AO"},
                                         {"in2_input", "5064"},
                                         {"curr2_input", "120"},
                                         {"in3_label", "NC"},
                                         {"update_interval", "2000"}});
  const auto source = Only(Discover("ina3221", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_NEAR(TotalWatts(*source), (19864 * 180 + 19864 * 40 + 5064 * 600) * 1e-6, 1e-9);
  EXPECT_EQ(source->info().scope, "rails_sum");
  EXPECT_EQ(source->info().cadence, absl::Milliseconds(430));
}

// Jetson Nano, JetPack 4.6: the iio driver counts channels from 0 and prints whole milliwatts.
TEST(Ina3221Test, ReadsTheIioLayoutOfJetPack4) {
  Tree tree;
  tree.Write("/sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0",
             {{"rail_name_0", "POM_5V_IN"},
              {"in_voltage0_input", "5048"},
              {"in_current0_input", "560"},
              {"in_power0_input", "2826"},
              {"crit_current_limit_0", "32760 ma"},
              {"rail_name_1", "POM_5V_GPU"},
              {"in_voltage1_input", "5048"},
              {"in_current1_input", "0"},
              {"rail_name_2", "POM_5V_CPU"},
              {"in_voltage2_input", "5048"},
              {"in_current2_input", "72"},
              {"running_mode", "1"}});
  const auto source = Only(Discover("ina3221", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_NEAR(TotalWatts(*source), 5048 * 560e-6, 1e-9);
  EXPECT_EQ(source->info().scope, "module");
  EXPECT_EQ(source->info().cadence, absl::Milliseconds(422));
  tree.Write("/sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0", {{"running_mode", "0"}});
  EXPECT_FALSE(Only(Discover("ina3221", tree.root()))->info().averages);
}

// Chips of the driver of JetPack 4, by device, with their rails: 10 V each; the first rail draws
// 0.1 A, each next one 0.1 A more.
void WriteIioChips(Tree& tree,
                   const std::vector<std::pair<std::string, std::vector<std::string>>>& chips) {
  int milliamperes = 100;
  for (const auto& [device, rails] : chips) {
    for (size_t channel = 0; channel < rails.size(); ++channel) {
      const std::string number = std::to_string(channel);
      tree.Write("/sys/bus/i2c/drivers/ina3221x/" + device,
                 {{"rail_name_" + number, rails[channel]},
                  {"in_voltage" + number + "_input", "10000"},
                  {"in_current" + number + "_input", std::to_string(milliamperes)}});
      milliamperes += 100;
    }
  }
}

// AGX Xavier, JetPack 4: two chips with six rails, none of which includes another.
TEST(Ina3221Test, TheSixRailsOfAnAgxXavierAreSummed) {
  Tree tree;
  WriteIioChips(tree, {{"1-0040/iio:device0", {"GPU", "CPU", "SOC"}},
                       {"1-0041/iio:device1", {"CV", "VDDRQ", "SYS5V"}}});
  const auto source = Only(Discover("ina3221", tree.root()));
  EXPECT_NEAR(TotalWatts(*source), 10 * 2.1, 1e-9);
  EXPECT_EQ(source->info().scope, "rails_sum");
}

// TX2: the module's input is on the second chip, and the carrier board has another chip of its own.
TEST(Ina3221Test, TheModuleInputOfATx2IsOnItsSecondChip) {
  Tree tree;
  WriteIioChips(tree, {{"0-0040/iio:device0", {"VDD_SYS_GPU", "VDD_SYS_SOC", "VDD_4V0_WIFI"}},
                       {"0-0041/iio:device1", {"VDD_IN", "VDD_SYS_CPU", "VDD_SYS_DDR"}},
                       {"0-0042/iio:device2", {"VDD_MUX", "VDD_5V0_IO_SYS", "VDD_3V3_SYS"}}});
  const auto source = Only(Discover("ina3221", tree.root()));
  EXPECT_NEAR(TotalWatts(*source), 10 * 0.4, 1e-9);
  EXPECT_EQ(source->info().scope, "module");
  EXPECT_EQ(source->info().channels.size(), 9);
}

TEST(Ina3221Test, ANegativeCurrentKeepsItsSign) {
  Tree tree;
  tree.Write(
      "/sys/class/hwmon/hwmon1",
      {{"name", "ina3221"}, {"in1_label", "VDD_IN"}, {"in1_input", "5000"}, {"curr1_input", "-8"}});
  const auto readings = Only(Discover("ina3221", tree.root()))->Poll(Monotonic());
  EXPECT_NEAR(std::get<Watts>(readings->at(0).value).value(), -0.04, 1e-9);
}

TEST(Ina3221Test, ADisabledChannelIsNoRailAndAnEmptyReadingIsNotZero) {
  Tree tree;
  tree.Write("/sys/class/hwmon/hwmon1", {{"name", "ina3221"},
                                         {"in1_label", "VDD_IN"},
                                         {"in1_enable", "0"},
                                         {"in1_input", "5000"},
                                         {"curr1_input", "100"},
                                         {"in2_label", "VDD_SOC"},
                                         {"in2_input", "5000"},
                                         {"curr2_input", ""}});
  const auto source = Only(Discover("ina3221", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_THAT(ChannelNames(*source), ElementsAre("VDD_SOC"));
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("curr2")));
}

TEST(Ina3221Test, ARailBesideTheTotalThatFailsIsLeftOut) {
  Tree tree;
  WriteOrinNano(tree);
  tree.Write("/sys/class/hwmon/hwmon1", {{"curr3_input", ""}});
  const auto source = Only(Discover("ina3221", tree.root()));
  EXPECT_THAT(*source->Poll(Monotonic()), testing::SizeIs(2));
  EXPECT_NEAR(TotalWatts(*source), 9.250304, 1e-9);
}

TEST(Ina3221Test, AbsentIsNoCandidate) {
  Tree tree;
  EXPECT_THAT(Discover("ina3221", tree.root()), IsEmpty());
}

}  // namespace
}  // namespace wattle::telemetry
