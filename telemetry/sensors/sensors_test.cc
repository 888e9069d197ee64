// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The real sources, on literal file trees: values and layouts as dumped from real boards, and each
// known pitfall.
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "base/test_directory.h"
#include "telemetry/sensors/ina3221.h"
#include "telemetry/sensors/power_supply.h"
#include "telemetry/sensors/rapl.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"
#include "telemetry/sensors/thermal_zone.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::IsEmpty;

class Tree {
 public:
  void Write(const std::string& directory, const std::map<std::string, std::string>& files) {
    std::filesystem::create_directories(directory_.path() + directory);
    for (const auto& [name, text] : files) {
      std::ofstream(directory_.path() + directory + "/" + name) << text << "\n";
    }
  }
  [[nodiscard]] const std::string& root() const { return directory_.path(); }

 private:
  TestDirectory directory_;
};

double WattsOf(PowerSensor& sensor) {
  const auto reading = sensor.Read(Monotonic());
  EXPECT_THAT(reading, IsOk());
  return reading.ok() ? std::get<Watts>(*reading).value() : -1;
}

// Orin Nano, JetPack 6: with the shunt sum's label and the sums that are no rails.
void WriteOrinNano(Tree& tree) {
  tree.Write("/sys/class/hwmon/hwmon1", {{"name", "ina3221"},
                                         {"in1_label", "VDD_IN"},
                                         {"in1_enable", "1"},
                                         {"in1_input", "4984"},
                                         {"curr1_input", "1856"},
                                         {"in2_label", "VDD_CPU_GPU_CV"},
                                         {"in2_input", "4976"},
                                         {"curr2_input", "88"},
                                         {"in3_label", "VDD_SOC"},
                                         {"in3_input", "4976"},
                                         {"curr3_input", "224"},
                                         {"in4_input", "9280"},
                                         {"in7_label", "sum of shunt voltages"},
                                         {"in7_input", "10840"},
                                         {"curr4_input", "2168"},
                                         {"samples", "512"},
                                         {"update_interval", "430"}});
}

TEST(Ina3221Test, TheModuleInputIsTheTotalAndNothingIsAddedToIt) {
  Tree tree;
  WriteOrinNano(tree);
  tree.Write("/sys/class/hwmon/hwmon0", {{"name", "cpu_thermal"}, {"temp1_input", "45000"}});
  const auto sensor = OpenIna3221(tree.root());
  ASSERT_THAT(sensor, IsOk());
  EXPECT_NEAR(WattsOf(**sensor), 9.250304, 1e-9);
  EXPECT_EQ((*sensor)->info().scope, "module");
  EXPECT_EQ((*sensor)->info().refresh_period, absl::Milliseconds(430));
}

TEST(Ina3221Test, ShuntSumAndCurrentSumAreNoRails) {
  Tree tree;
  WriteOrinNano(tree);
  const auto rails = FindIna3221Rails(tree.root());
  ASSERT_EQ(rails.size(), 3U);
  EXPECT_EQ(rails[0].label, "VDD_CPU_GPU_CV");
  EXPECT_EQ(rails[1].label, "VDD_IN");
  EXPECT_EQ(rails[2].label, "VDD_SOC");
}

// AGX Orin: no parent rail; the second chip's only rail hangs below VIN_SYS_5V0, its other channels
// are not connected; about 20 V.
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
                                         {"curr3_input", "600"}});
  tree.Write("/sys/class/hwmon/hwmon2", {{"name", "ina3221"},
                                         {"in1_label", "NC"},
                                         {"in2_label", "VDDQ_VDD2_1V8AO"},
                                         {"in2_input", "5064"},
                                         {"curr2_input", "120"},
                                         {"in3_label", "NC"}});
  const auto sensor = OpenIna3221(tree.root());
  ASSERT_THAT(sensor, IsOk());
  EXPECT_NEAR(WattsOf(**sensor), (19864 * 180 + 19864 * 40 + 5064 * 600) * 1e-6, 1e-9);
  EXPECT_EQ((*sensor)->info().scope, "rails_sum");
}

TEST(Ina3221Test, ANegativeCurrentKeepsItsSign) {
  Tree tree;
  tree.Write(
      "/sys/class/hwmon/hwmon1",
      {{"name", "ina3221"}, {"in1_label", "VDD_IN"}, {"in1_input", "5000"}, {"curr1_input", "-8"}});
  EXPECT_NEAR(WattsOf(**OpenIna3221(tree.root())), -0.04, 1e-9);
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
  const auto sensor = OpenIna3221(tree.root());
  ASSERT_THAT(sensor, IsOk());
  EXPECT_EQ((*sensor)->info().name, "ina3221 VDD_SOC");
  EXPECT_THAT((*sensor)->Read(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("curr2")));
}

TEST(Ina3221Test, AbsentIsNotFound) {
  Tree tree;
  EXPECT_THAT(OpenIna3221(tree.root()), StatusIs(StatusCode::kNotFound, HasSubstr("INA3221")));
}

void WriteRapl(Tree& tree, const std::string& energy) {
  const std::string range = "262143328850";
  tree.Write("/sys/class/powercap/intel-rapl:0",
             {{"name", "package-0"}, {"energy_uj", energy}, {"max_energy_range_uj", range}});
  tree.Write("/sys/class/powercap/intel-rapl:0:0",
             {{"name", "core"}, {"energy_uj", "5000000"}, {"max_energy_range_uj", range}});
  tree.Write("/sys/class/powercap/intel-rapl:0:1",
             {{"name", "dram"}, {"energy_uj", "7000000"}, {"max_energy_range_uj", range}});
  tree.Write("/sys/class/powercap/intel-rapl-mmio:0",
             {{"name", "package-0"}, {"energy_uj", energy}, {"max_energy_range_uj", range}});
  tree.Write("/sys/class/powercap/intel-rapl:1",
             {{"name", "psys"}, {"energy_uj", "1"}, {"max_energy_range_uj", range}});
}

double JoulesOf(PowerSensor& sensor) {
  return std::get<Joules>(*sensor.Read(Monotonic())).value();
}

TEST(RaplTest, CountsPackageAndDramOnce) {
  Tree tree;
  WriteRapl(tree, "1000000");
  const auto sensor = OpenRapl(tree.root());
  ASSERT_THAT(sensor, IsOk());
  EXPECT_EQ(JoulesOf(**sensor), 0.0);
  WriteRapl(tree, "3500000");
  EXPECT_NEAR(JoulesOf(**sensor), 2.5, 1e-9);
}

TEST(RaplTest, AWrappedCounterGoesOn) {
  Tree tree;
  WriteRapl(tree, "262143000000");
  const auto sensor = OpenRapl(tree.root());
  WriteRapl(tree, "671150");
  EXPECT_NEAR(JoulesOf(**sensor), 1.0, 1e-9);
}

TEST(RaplTest, PermissionDeniedSaysTheRemedyAndIsAProblemNotAnError) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "root may read every file";
  }
  Tree tree;
  WriteRapl(tree, "1");
  std::filesystem::permissions(tree.root() + "/sys/class/powercap/intel-rapl:0/energy_uj",
                               std::filesystem::perms::none);
  EXPECT_THAT(OpenRapl(tree.root()), StatusIs(StatusCode::kPermissionDenied, HasSubstr("chmod")));
  EXPECT_THAT(DiscoverSensors(tree.root()).problems, testing::ElementsAre(HasSubstr("chmod")));
}

TEST(PowerSupplyTest, MicroWattHoursAndStatusDecideNotTheSign) {
  Tree tree;
  tree.Write("/sys/class/power_supply/BAT0", {{"type", "Battery"},
                                              {"status", "Discharging"},
                                              {"capacity", "60"},
                                              {"energy_now", "30500000"},
                                              {"energy_full", "50000000"},
                                              {"power_now", "8200000"}});
  const auto battery = OpenPowerSupplyBattery(tree.root());
  ASSERT_THAT(battery, IsOk());
  const auto reading = (*battery)->Read(Monotonic());
  ASSERT_THAT(reading, IsOk());
  EXPECT_NEAR(reading->state_of_charge.value(), 0.61, 1e-9);
  EXPECT_NEAR(ToWattHours(*reading->capacity), 50.0, 1e-9);
  EXPECT_NEAR(reading->draw->value(), 8.2, 1e-9);
  EXPECT_NEAR(WattsOf(**OpenPowerSupplySensor(tree.root())), 8.2, 1e-9);
}

TEST(PowerSupplyTest, MicroAmpereHoursUseTheVoltage) {
  Tree tree;
  tree.Write("/sys/class/power_supply/bq27441-0", {{"type", "Battery"},
                                                   {"status", "Charging"},
                                                   {"charge_now", "1000000"},
                                                   {"charge_full", "4000000"},
                                                   {"voltage_now", "3700000"},
                                                   {"current_now", "500000"}});
  const auto battery = OpenPowerSupplyBattery(tree.root());
  ASSERT_THAT(battery, IsOk());
  const auto reading = (*battery)->Read(Monotonic());
  EXPECT_NEAR(reading->state_of_charge.value(), 0.25, 1e-9);
  EXPECT_NEAR(ToWattHours(*reading->capacity), 14.8, 1e-9);
  EXPECT_NEAR(reading->draw->value(), -1.85, 1e-9);
  EXPECT_TRUE(reading->charging);
  EXPECT_THAT((*OpenPowerSupplySensor(tree.root()))->Read(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("not discharging")));
}

// max17040: volts and percent only, status Unknown.
TEST(PowerSupplyTest, AGaugeWithoutCurrentGivesChargeAndNoPower) {
  Tree tree;
  tree.Write("/sys/class/power_supply/battery", {{"type", "Battery"},
                                                 {"status", "Unknown"},
                                                 {"online", "1"},
                                                 {"voltage_now", "3987500"},
                                                 {"capacity", "77"}});
  const auto battery = OpenPowerSupplyBattery(tree.root());
  ASSERT_THAT(battery, IsOk());
  const auto reading = (*battery)->Read(Monotonic());
  EXPECT_NEAR(reading->state_of_charge.value(), 0.77, 1e-9);
  EXPECT_EQ(reading->draw, std::nullopt);
  EXPECT_EQ(reading->capacity, std::nullopt);
  EXPECT_THAT(OpenPowerSupplySensor(tree.root()),
              StatusIs(StatusCode::kNotFound, HasSubstr("power")));
}

TEST(PowerSupplyTest, MouseBatteriesUsbPortsAndEmptyBaysAreNoBatteries) {
  Tree tree;
  tree.Write("/sys/class/power_supply/hidpp_battery_0",
             {{"type", "Battery"}, {"scope", "Device"}, {"capacity", "50"}});
  tree.Write("/sys/class/power_supply/ucsi-source-psy-0",
             {{"type", "USB"}, {"voltage_now", "5000000"}, {"current_now", "3000000"}});
  tree.Write("/sys/class/power_supply/BAT1",
             {{"type", "Battery"}, {"present", "0"}, {"capacity", "0"}});
  EXPECT_THAT(OpenPowerSupplyBattery(tree.root()),
              StatusIs(StatusCode::kNotFound, HasSubstr("no battery")));
}

TEST(ThermalZonesTest, TheHottestZoneThatIsOnCounts) {
  Tree tree;
  tree.Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu-thermal"}, {"temp", "45812"}});
  tree.Write("/sys/class/thermal/thermal_zone1", {{"type", "cv0-thermal"}, {"temp", ""}});
  tree.Write("/sys/class/thermal/thermal_zone2", {{"type", "PMIC-Die"}, {"temp", "100000"}});
  tree.Write("/sys/class/thermal/thermal_zone3", {{"type", "gpu-thermal"}, {"temp", "-256000"}});
  tree.Write("/sys/class/thermal/thermal_zone10", {{"type", "tj-thermal"}, {"temp", "46843"}});
  const auto zones = OpenThermalZones(tree.root());
  ASSERT_THAT(zones, IsOk());
  EXPECT_NEAR((*zones)->Read(Monotonic())->value(), 46.843, 1e-9);
}

TEST(ThermalZonesTest, AllZonesOffIsUnavailableNotZero) {
  Tree tree;
  tree.Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu-thermal"}, {"temp", "0"}});
  EXPECT_THAT((*OpenThermalZones(tree.root()))->Read(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("no thermal zone")));
}

TEST(SysfsTest, HalfWrittenNumbersAreErrors) {
  Tree tree;
  tree.Write("/x", {{"a", "12 ma"}, {"b", "-17"}});
  EXPECT_THAT(ReadInteger(tree.root() + "/x/a"),
              StatusIs(StatusCode::kInternal, HasSubstr("12 ma")));
  EXPECT_EQ(*ReadInteger(tree.root() + "/x/b"), -17);
}

TEST(RegistryTest, ABareMachineHasNoSensorAndNoProblem) {
  Tree tree;
  const SensorSet set = DiscoverSensors(tree.root());
  EXPECT_EQ(set.power, nullptr);
  EXPECT_EQ(set.temperature, nullptr);
  EXPECT_EQ(set.battery, nullptr);
  EXPECT_THAT(set.problems, IsEmpty());
}

TEST(RegistryTest, ABatteryThatChargesLeavesTheProcessorsCounter) {
  Tree tree;
  WriteRapl(tree, "1");
  const std::string battery = "/sys/class/power_supply/BAT0";
  tree.Write(battery, {{"type", "Battery"}, {"status", "Charging"}, {"power_now", "5000000"}});
  EXPECT_EQ(DiscoverSensors(tree.root()).power->info().source, EnergySource::kRapl);
  tree.Write(battery, {{"status", "Discharging"}});
  EXPECT_EQ(DiscoverSensors(tree.root()).power->info().source, EnergySource::kPowerSupply);
}

}  // namespace
}  // namespace wattle::telemetry
