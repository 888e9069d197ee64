// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the real sources on literal file trees: values and layouts of real boards, and each known
// pitfall.
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"
#include "telemetry/sensors/testing/test_tree.h"
namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::optional<ChargeState> ChargeOf(Source& source) {
  const auto readings = source.Poll(Monotonic());
  for (const Reading& reading : *readings) {
    if (const auto* charge = std::get_if<ChargeState>(&reading.value)) {
      return *charge;
    }
  }
  return std::nullopt;
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

TEST(RaplTest, PackageAndDramAreCountersOfTheTotalOnce) {
  Tree tree;
  WriteRapl(tree, "1000000");
  const auto source = Only(Discover("rapl", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_THAT(ChannelNames(*source), ElementsAre("package-0", "dram intel-rapl:0:1"));
  const auto readings = source->Poll(Monotonic());
  ASSERT_THAT(*readings, testing::SizeIs(2));
  const auto package = std::get<EnergyCount>(readings->at(0).value);
  EXPECT_NEAR(package.value.value(), 1.0, 1e-9);
  EXPECT_NEAR(package.modulus.value(), 262143.328850, 1e-6);
  EXPECT_NEAR(std::get<EnergyCount>(readings->at(1).value).value.value(), 7.0, 1e-9);
}

TEST(RaplTest, OneZoneThatFailsFailsTheSum) {
  Tree tree;
  WriteRapl(tree, "1000000");
  const auto source = Only(Discover("rapl", tree.root()));
  tree.Write("/sys/class/powercap/intel-rapl:0:1", {{"energy_uj", ""}});
  EXPECT_THAT(source->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("energy_uj")));
}

TEST(RaplTest, EveryPackageCountsOnceAndPsysNotAtAll) {
  Tree tree;
  WriteRapl(tree, "1000000");
  tree.Write(
      "/sys/class/powercap/intel-rapl:1",
      {{"name", "package-1"}, {"energy_uj", "2000000"}, {"max_energy_range_uj", "65532610987"}});
  tree.Write("/sys/class/powercap/intel-rapl:2", {{"name", "psys"}, {"energy_uj", "9000000"}});
  const auto source = Only(Discover("rapl", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_THAT(ChannelNames(*source), ElementsAre("package-0", "dram intel-rapl:0:1", "package-1"));
  const auto readings = source->Poll(Monotonic());
  ASSERT_THAT(readings, IsOk());
  EXPECT_NEAR(std::get<EnergyCount>(readings->at(2).value).modulus.value(), 65532.610987, 1e-9);
}

TEST(RaplTest, PermissionDeniedIsACandidateWithTheRemedy) {
  Tree tree;
  // Root may read every file, so a test as root discovers as another user, who may enter the tree.
  std::filesystem::permissions(tree.root(), std::filesystem::perms(0755));
  WriteRapl(tree, "1");
  std::filesystem::permissions(tree.root() + "/sys/class/powercap/intel-rapl:0/energy_uj",
                               std::filesystem::perms::none);
  constexpr uid_t kNobody = 65534;
  const bool root = geteuid() == 0;
  ASSERT_EQ(root ? seteuid(kNobody) : 0, 0);
  const auto found = Discover("rapl", tree.root());
  ASSERT_EQ(root ? seteuid(0) : 0, 0);
  ASSERT_THAT(found, testing::SizeIs(1));
  EXPECT_EQ(found[0].source, nullptr);
  EXPECT_THAT(found[0].problem, StatusIs(StatusCode::kPermissionDenied, HasSubstr("chmod")));
}

TEST(PowerSupplyTest, MicroWattHoursAndStatusDecideNotTheSign) {
  Tree tree;
  tree.Write("/sys/class/power_supply/BAT0", {{"type", "Battery"},
                                              {"status", "Discharging"},
                                              {"capacity", "60"},
                                              {"energy_now", "30500000"},
                                              {"energy_full", "50000000"},
                                              {"power_now", "8200000"}});
  const auto source = Only(Discover("power_supply", tree.root()));
  ASSERT_NE(source, nullptr);
  const auto charge = ChargeOf(*source);
  EXPECT_NEAR(charge->state_of_charge.value(), 0.61, 1e-9);
  EXPECT_NEAR(ToWattHours(*charge->capacity), 50.0, 1e-9);
  EXPECT_NEAR(charge->draw->value(), 8.2, 1e-9);
  EXPECT_NEAR(TotalWatts(*source), 8.2, 1e-9);
}

// The power of a charging battery is not the device's: the source gives the charge and no power.
TEST(PowerSupplyTest, MicroAmpereHoursUseTheVoltageAndChargingIsNoPower) {
  Tree tree;
  tree.Write("/sys/class/power_supply/bq27441-0", {{"type", "Battery"},
                                                   {"status", "Charging"},
                                                   {"charge_now", "1000000"},
                                                   {"charge_full", "4000000"},
                                                   {"voltage_now", "3700000"},
                                                   {"current_now", "500000"}});
  const auto source = Only(Discover("power_supply", tree.root()));
  ASSERT_NE(source, nullptr);
  const auto charge = ChargeOf(*source);
  EXPECT_NEAR(charge->state_of_charge.value(), 0.25, 1e-9);
  EXPECT_NEAR(ToWattHours(*charge->capacity), 14.8, 1e-9);
  EXPECT_NEAR(charge->draw->value(), -1.85, 1e-9);
  EXPECT_TRUE(charge->charging);
  EXPECT_EQ(TotalWatts(*source), -1);
}

// Drivers sign the current by the kernel's rule, the other way round, or not at all.
TEST(PowerSupplyTest, TheStatusGivesTheDirectionAndWithoutAStatusTheKernelsSignDoes) {
  struct Case {
    const char* status;
    const char* microamperes;
    std::optional<double> draw;
  };
  for (const auto& [status, microamperes, draw] :
       {Case{"Discharging", "-500000", 2.0}, Case{"Discharging", "500000", 2.0},
        Case{"Charging", "500000", -2.0}, Case{"Charging", "-500000", -2.0},
        Case{"Not charging", "0", 0.0}, Case{"Unknown", "-500000", 2.0},
        Case{"Unknown", "500000", std::nullopt}}) {
    SCOPED_TRACE(std::string(status) + " " + microamperes);
    Tree tree;
    tree.Write("/sys/class/power_supply/BAT0", {{"type", "Battery"},
                                                {"status", status},
                                                {"capacity", "50"},
                                                {"voltage_now", "4000000"},
                                                {"current_now", microamperes}});
    const auto source = Only(Discover("power_supply", tree.root()));
    const auto charge = ChargeOf(*source);
    ASSERT_EQ(charge->draw.has_value(), draw.has_value());
    if (draw) {
      EXPECT_NEAR(charge->draw->value(), *draw, 1e-9);
    }
    EXPECT_NEAR(TotalWatts(*source), draw.value_or(0) > 0 ? *draw : -1, 1e-9);
  }
}

// max17040: only volts and percent, status Unknown.
TEST(PowerSupplyTest, AGaugeWithoutCurrentGivesChargeAndNoPower) {
  Tree tree;
  tree.Write("/sys/class/power_supply/battery", {{"type", "Battery"},
                                                 {"status", "Unknown"},
                                                 {"online", "1"},
                                                 {"voltage_now", "3987500"},
                                                 {"capacity", "77"}});
  const auto source = Only(Discover("power_supply", tree.root()));
  const auto charge = ChargeOf(*source);
  EXPECT_NEAR(charge->state_of_charge.value(), 0.77, 1e-9);
  EXPECT_EQ(charge->draw, std::nullopt);
  EXPECT_EQ(charge->capacity, std::nullopt);
  EXPECT_EQ(TotalWatts(*source), -1);
}

// A lead battery behind a charger that measures only volts.
TEST(PowerSupplyTest, ABatteryOfVoltsAloneNeedsItsChemistry) {
  Tree tree;
  tree.Write("/sys/class/power_supply/solar",
             {{"type", "Battery"}, {"status", "Discharging"}, {"voltage_now", "12240000"}});
  EXPECT_THAT(Only(Discover("power_supply", tree.root()))->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("solar")));
  const std::vector<SourceSettings> lead = {
      {.kind = "power_supply",
       .values = {{"name", "solar"}, {"chemistry", "lead"}, {"cells", "6"}}}};
  const auto source = Only(Discover("power_supply", tree.root(), lead));
  EXPECT_NEAR(ChargeOf(*source)->state_of_charge.value(), 0.6, 1e-9);
  EXPECT_GT(source->info().gauge_error, Fraction(0.05));
  // A gauge's own percent takes precedence over the curve.
  tree.Write("/sys/class/power_supply/solar", {{"capacity", "83"}});
  EXPECT_NEAR(ChargeOf(*Only(Discover("power_supply", tree.root(), lead)))->state_of_charge.value(),
              0.83, 1e-9);
}

TEST(PowerSupplyTest, AGaugeThatTellsNothingIsAnErrorAndNotAnEmptyBattery) {
  Tree tree;
  tree.Write("/sys/class/power_supply/BAT0",
             {{"type", "Battery"}, {"status", "Discharging"}, {"capacity", "50"}});
  const auto source = Only(Discover("power_supply", tree.root()));
  tree.Write("/sys/class/power_supply/BAT0", {{"capacity", ""}});
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("BAT0")));
}

TEST(PowerSupplyTest, MouseBatteriesUsbPortsAndEmptyBaysAreNoBatteries) {
  Tree tree;
  tree.Write("/sys/class/power_supply/hidpp_battery_0",
             {{"type", "Battery"}, {"scope", "Device"}, {"capacity", "50"}});
  tree.Write("/sys/class/power_supply/ucsi-source-psy-0",
             {{"type", "USB"}, {"voltage_now", "5000000"}, {"current_now", "3000000"}});
  tree.Write("/sys/class/power_supply/BAT1",
             {{"type", "Battery"}, {"present", "0"}, {"capacity", "0"}});
  EXPECT_THAT(Discover("power_supply", tree.root()), IsEmpty());
}

TEST(ThermalZonesTest, EveryZoneThatIsOnIsAChannelAndNamesAreUnique) {
  Tree tree;
  tree.Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu-thermal"}, {"temp", "45812"}});
  tree.Write("/sys/class/thermal/thermal_zone1", {{"type", "cv0-thermal"}, {"temp", ""}});
  tree.Write("/sys/class/thermal/thermal_zone2", {{"type", "PMIC-Die"}, {"temp", "100000"}});
  tree.Write("/sys/class/thermal/thermal_zone3", {{"type", "gpu-thermal"}, {"temp", "-256000"}});
  tree.Write("/sys/class/thermal/thermal_zone4", {{"type", "cpu-thermal"}, {"temp", "46843"}});
  const auto source = Only(Discover("thermal_zone", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_THAT(ChannelNames(*source), ElementsAre("cpu-thermal", "cv0-thermal", "gpu-thermal",
                                                 "cpu-thermal thermal_zone4"));
  const auto readings = source->Poll(Monotonic());
  ASSERT_THAT(*readings, testing::SizeIs(2));
  EXPECT_NEAR(std::get<Celsius>(readings->at(1).value).value(), 46.843, 1e-9);
}

TEST(ThermalZonesTest, TheLowestPassiveTripPointIsWhereTheBoardSlowsDown) {
  Tree tree;
  tree.Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu-thermal"},
                                                  {"temp", "45812"},
                                                  {"trip_point_0_type", "active"},
                                                  {"trip_point_0_temp", "50000"},
                                                  {"trip_point_1_type", "passive"},
                                                  {"trip_point_1_temp", "99000"},
                                                  {"trip_point_2_type", "passive"},
                                                  {"trip_point_2_temp", "97500"},
                                                  {"trip_point_3_type", "critical"},
                                                  {"trip_point_3_temp", "104500"}});
  tree.Write("/sys/class/thermal/thermal_zone1", {{"type", "x86_pkg_temp"},
                                                  {"temp", "46000"},
                                                  {"trip_point_0_type", "passive"},
                                                  {"trip_point_0_temp", "0"}});
  const auto source = Only(Discover("thermal_zone", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(source->info().channels[0].throttles_at, Celsius(97.5));
  EXPECT_EQ(source->info().channels[1].throttles_at, std::nullopt);
}

TEST(ThermalZonesTest, ARaspberryPiSlowsDownWhereItsFirmwareDoes) {
  Tree tree;
  tree.Write("/proc/device-tree", {{"model", "Raspberry Pi 5 Model B Rev 1.0"}});
  tree.Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu-thermal"}, {"temp", "45812"}});
  const auto source = Only(Discover("thermal_zone", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(source->info().channels[0].throttles_at, Celsius(80));
}

TEST(ThermalZonesTest, AllZonesOffIsUnavailableNotZero) {
  Tree tree;
  tree.Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu-thermal"}, {"temp", "0"}});
  EXPECT_THAT(Only(Discover("thermal_zone", tree.root()))->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("no thermal zone")));
}

TEST(SysfsTest, HalfWrittenNumbersAreErrors) {
  Tree tree;
  tree.Write("/x", {{"a", "12 ma"}, {"b", "-17"}});
  EXPECT_THAT(ReadInteger(tree.root() + "/x/a"),
              StatusIs(StatusCode::kInternal, HasSubstr("12 ma")));
  EXPECT_EQ(*ReadInteger(tree.root() + "/x/b"), -17);
}

TEST(RegistryTest, ABareMachineHasNoCandidate) {
  Tree tree;
  EXPECT_THAT(DiscoverSources(tree.root()), IsEmpty());
}

TEST(RegistryTest, EveryCandidateIsKeptWithItsRank) {
  Tree tree;
  WriteRapl(tree, "1");
  WriteOrinNano(tree);
  tree.Write("/sys/class/power_supply/BAT0",
             {{"type", "Battery"}, {"status", "Charging"}, {"capacity", "50"}});
  const auto found = DiscoverSources(tree.root());
  ASSERT_THAT(found, testing::SizeIs(3));
  EXPECT_LT(found[0].source->info().rank, found[1].source->info().rank);
  EXPECT_LT(found[1].source->info().rank, found[2].source->info().rank);
  EXPECT_TRUE(found[1].source->info().has_gauge());
}

TEST(SettingsTest, EntriesAreCheckedByTheirKindsTable) {
  auto check = [](const std::string& kind, const std::map<std::string, std::string>& values) {
    return CheckSettings({{.kind = kind, .values = values}});
  };
  EXPECT_THAT(check("ina2xx", {{"device", "1-0040"}, {"position", "output"}}), IsOk());
  EXPECT_THAT(check("ina2xx", {}), IsOk());
  const auto refused = [](const std::string& text) {
    return StatusIs(StatusCode::kInvalidArgument, HasSubstr(text));
  };
  EXPECT_THAT(check("ina9", {}),
              refused("sensor 1, ina9: kind: \"ina9\", kinds with settings are"));
  EXPECT_THAT(check("thermal_zone", {}), refused("kinds with settings are ina2xx"));
  EXPECT_THAT(check("ina2xx", {{"adress", "1"}}),
              refused("adress: no such setting; there are device"));
  EXPECT_THAT(check("ina2xx", {{"position", "in"}}), refused("wanted input or output"));
  EXPECT_THAT(check("ina2xx", {{"device", ""}}), refused("device: is empty"));
  for (const std::string wrong : {"ten", "0", "nan", "inf", "1001", ""}) {
    EXPECT_THAT(check("ina2xx", {{"current_scale", wrong}}),
                refused("a number from 0.001 to 1000"));
  }
}

// The contract that every source in the registry keeps.
TEST(SourceContractTest, ReadingsBelongToChannelsAndAreTakenNoLaterThanNow) {
  Tree tree;
  WriteRapl(tree, "1");
  WriteOrinNano(tree);
  tree.Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu-thermal"}, {"temp", "45812"}});
  tree.Write("/sys/class/power_supply/BAT0",
             {{"type", "Battery"}, {"status", "Discharging"}, {"capacity", "50"}});
  const Monotonic now(absl::Seconds(1000));
  for (const Candidate& candidate : DiscoverSources(tree.root())) {
    SCOPED_TRACE(candidate.name);
    const SourceInfo& info = candidate.source->info();
    EXPECT_GT(info.cadence, absl::ZeroDuration());
    EXPECT_EQ(info.measures_power(),
              info.energy_source != v1::ENERGY_SOURCE_UNSPECIFIED && info.measures_power());
    std::set<std::pair<std::string, std::string>> families;
    for (const Channel& channel : info.channels) {
      EXPECT_THAT(channel.metric, testing::StartsWith("wattle_"));
      EXPECT_TRUE(families.emplace(channel.metric, channel.name).second) << channel.name;
    }
    const auto readings = candidate.source->Poll(now);
    ASSERT_THAT(readings, IsOk());
    for (const Reading& reading : *readings) {
      EXPECT_LT(reading.channel, info.channels.size());
      EXPECT_LE(reading.taken_at, now);
    }
  }
}

}  // namespace
}  // namespace wattle::telemetry
