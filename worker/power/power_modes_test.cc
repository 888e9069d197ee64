// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/power/power_modes.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/test_directory.h"

namespace wattle::agent {
namespace {

class PowerModesTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::string full = directory_.path() + path;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::ofstream(full) << text;
  }
  v1::DeviceInfo Read() {
    v1::DeviceInfo info;
    AddPowerModes(directory_.path(), &info);
    return info;
  }
  TestDirectory directory_;
};

// Xavier NX: the PARAM preamble has lines that look like settings, and MAX_FREQ occurs twice.
TEST_F(PowerModesTest, ReadsNvpmodelsModesAndTheActiveOne) {
  Write("/etc/nvpmodel.conf",
        "# a comment\n"
        "< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
        "CORE_1 /sys/devices/system/cpu/cpu1/online\n"
        "< PARAM TYPE=CLOCK NAME=GPU >\n"
        "MAX_FREQ /sys/devices/17000000.gv11b/devfreq/17000000.gv11b/max_freq\n"
        "< POWER_MODEL ID=0 NAME=MODE_15W_2CORE >\n"
        "CPU_ONLINE CORE_1 1\n"
        "GPU MAX_FREQ 1100000000\n"
        "< POWER_MODEL ID=8 NAME=MODE_20W_6CORE >\n"
        "< PM_CONFIG DEFAULT=0 >\n");
  Write("/var/lib/nvpmodel/status", "pmode:0008 fmode:fan_mode_quiet\n");
  const v1::DeviceInfo info = Read();
  ASSERT_EQ(info.power_modes_size(), 2);
  EXPECT_EQ(info.power_modes(0).name(), "MODE_15W_2CORE");
  EXPECT_EQ(info.power_modes(0).nominal_power_watts(), 15);
  EXPECT_EQ(info.power_mode(), "MODE_20W_6CORE");
  EXPECT_EQ(PlausiblePower(info), Watts(200));
}

// The developer kit's modes of JetPack 6.2. The kernel has the second path of each clock.
constexpr char kOrinNano[] =
    "< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
    "CORE_0 /sys/devices/system/cpu/cpu0/online\n"
    "CORE_1 /sys/devices/system/cpu/cpu1/online\n"
    "CORE_2 /sys/devices/system/cpu/cpu2/online\n"
    "CORE_3 /sys/devices/system/cpu/cpu3/online\n"
    "CORE_4 /sys/devices/system/cpu/cpu4/online\n"
    "CORE_5 /sys/devices/system/cpu/cpu5/online\n"
    "< PARAM TYPE=FILE NAME=TPC_POWER_GATING >\n"
    "TPC_PG_MASK /sys/devices/gpu.0/tpc_pg_mask\n"
    "< PARAM TYPE=CLOCK NAME=CPU_A78_0 >\n"
    "FREQ_TABLE /sys/devices/system/cpu/cpu0/cpufreq/scaling_available_frequencies\n"
    "MAX_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq\n"
    "MIN_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq\n"
    "< PARAM TYPE=CLOCK NAME=CPU_A78_1 >\n"
    "FREQ_TABLE /sys/devices/system/cpu/cpu4/cpufreq/scaling_available_frequencies\n"
    "MAX_FREQ /sys/devices/system/cpu/cpu4/cpufreq/scaling_max_freq\n"
    "MIN_FREQ /sys/devices/system/cpu/cpu4/cpufreq/scaling_min_freq\n"
    "< PARAM TYPE=CLOCK NAME=GPU >\n"
    "FREQ_TABLE /sys/devices/17000000.ga10b/devfreq/17000000.ga10b/available_frequencies\n"
    "MAX_FREQ /sys/devices/17000000.ga10b/devfreq/17000000.ga10b/max_freq\n"
    "FREQ_TABLE_KNEXT /sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/"
    "available_frequencies\n"
    "MAX_FREQ_KNEXT /sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/max_freq\n"
    "< PARAM TYPE=CLOCK NAME=EMC >\n"
    "MAX_FREQ /sys/kernel/nvpmodel_clk_cap/emc\n"
    "< POWER_MODEL ID=0 NAME=15W >\n"
    "CPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\nCPU_ONLINE CORE_2 1\n"
    "CPU_ONLINE CORE_3 1\nCPU_ONLINE CORE_4 1\nCPU_ONLINE CORE_5 1\n"
    "TPC_POWER_GATING TPC_PG_MASK 252\n"
    "CPU_A78_0 MIN_FREQ 729600\nCPU_A78_0 MAX_FREQ 1497600\n"
    "CPU_A78_1 MIN_FREQ 729600\nCPU_A78_1 MAX_FREQ 1497600\n"
    "GPU MIN_FREQ 0\nGPU MAX_FREQ 612000000\n"
    "EMC MAX_FREQ 2133000000\n"
    "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
    "CPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\nCPU_ONLINE CORE_2 1\n"
    "CPU_ONLINE CORE_3 1\nCPU_ONLINE CORE_4 1\nCPU_ONLINE CORE_5 1\n"
    "CPU_A78_0 MAX_FREQ -1\nCPU_A78_1 MAX_FREQ -1\nGPU MAX_FREQ -1\nEMC MAX_FREQ -1\n"
    "< POWER_MODEL ID=3 NAME=7W >\n"
    "CPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\nCPU_ONLINE CORE_2 1\n"
    "CPU_ONLINE CORE_3 1\nCPU_ONLINE CORE_4 0\nCPU_ONLINE CORE_5 0\n"
    "CPU_A78_0 MAX_FREQ 960000\nCPU_A78_1 MAX_FREQ 960000\nGPU MAX_FREQ 408000000\n"
    "GPU MIN_FREQ 306000000\n"
    "EMC MAX_FREQ 2133000000\n"
    "< PM_CONFIG DEFAULT=0 >\n";

std::string NumbersOf(const v1::PowerMode& mode) {
  return absl::StrCat(mode.name(), ": ", mode.cpu_mhz(), " ", mode.gpu_mhz(), " ",
                      mode.memory_mhz(), " ", mode.cores());
}

TEST_F(PowerModesTest, TellsWhatAModeSets) {
  Write("/etc/nvpmodel.conf", kOrinNano);
  Write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_available_frequencies",
        "729600 1344000 1728000\n");
  Write("/sys/devices/system/cpu/cpu4/cpufreq/cpuinfo_max_freq", "1510400\n");
  Write("/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/available_frequencies",
        "306000000 1020000000 918000000\n");
  const v1::DeviceInfo info = Read();
  ASSERT_EQ(info.power_modes_size(), 3);
  EXPECT_EQ(NumbersOf(info.power_modes(0)), "15W: 1497.6 612 2133 6");
  // No cap: the highest clock that the hardware lists. The memory's clocks are not listed.
  EXPECT_EQ(NumbersOf(info.power_modes(1)), "MAXN_SUPER: 1728 1020 0 6");
  EXPECT_EQ(NumbersOf(info.power_modes(2)), "7W: 960 408 2133 4");
}

// A Jetson TX2 has two kinds of cores. The faster one's clock counts.
TEST_F(PowerModesTest, OfTwoKindsOfCoresTheFasterOneCounts) {
  Write("/etc/nvpmodel.conf",
        "< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
        "CORE_1 /sys/devices/system/cpu/cpu1/online\n"
        "CORE_2 /sys/devices/system/cpu/cpu2/online\n"
        "< POWER_MODEL ID=1 NAME=MAXQ >\n"
        "CPU_ONLINE CORE_1 0\nCPU_ONLINE CORE_2 1\n"
        "CPU_A57 MAX_FREQ 1200000\nCPU_DENVER MAX_FREQ 1400000\nGPU MAX_FREQ 850000000\n");
  EXPECT_EQ(NumbersOf(Read().power_modes(0)), "MAXQ: 1400 850 0 2");
}

TEST_F(PowerModesTest, NumbersThatNoBoardHasAreNotKnown) {
  Write("/etc/nvpmodel.conf",
        "< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
        "CORE_1 /sys/devices/system/cpu/cpu1/online\n"
        "CORE_2 /sys/devices/system/cpu/cpu2/online\n"
        "< POWER_MODEL ID=0 NAME=none >\n"
        "CPU MAX_FREQ 0\nGPU MAX_FREQ -5\nEMC MAX_FREQ nan\nCPU_ONLINE CORE_1 1\n"
        "< POWER_MODEL ID=1 NAME=huge >\n"
        "CPU MAX_FREQ 9223372036854775807\nGPU MAX_FREQ 1e300\nEMC MAX_FREQ inf\n"
        "CPU_ONLINE CORE_1 1\nCPU_ONLINE CORE_2 yes\n"
        "< POWER_MODEL ID=2 NAME=open >\n"
        "CPU MAX_FREQ -1\nGPU MAX_FREQ -1\nEMC MAX_FREQ 204MHz\n");
  const v1::DeviceInfo info = Read();
  EXPECT_EQ(NumbersOf(info.power_modes(0)), "none: 0 0 0 0") << "the file has a core more";
  EXPECT_EQ(NumbersOf(info.power_modes(1)), "huge: 0 0 0 0");
  EXPECT_EQ(NumbersOf(info.power_modes(2)), "open: 0 0 0 0");
}

TEST_F(PowerModesTest, WattlesOwnModesTellTheirNumbers) {
  for (const std::string core : {"cpu0", "cpu1", "cpu2", "cpu3"}) {
    const std::string folder = "/sys/devices/system/cpu/" + core;
    Write(folder + "/cpufreq/cpuinfo_max_freq", "2400000\n");
    Write(folder + "/cpufreq/scaling_max_freq", "2400000\n");
    Write(folder + "/cpufreq/scaling_available_frequencies", "1500000 1800000 2400000\n");
  }
  v1::DeviceInfo info;
  AddModes(KernelModes(directory_.path()), &info);
  ASSERT_EQ(info.power_modes_size(), 4);
  EXPECT_EQ(NumbersOf(info.power_modes(0)), "full: 2400 0 0 4");
  EXPECT_EQ(NumbersOf(info.power_modes(1)), "cpu-1800MHz: 1800 0 0 4");
  EXPECT_EQ(NumbersOf(info.power_modes(2)), "cpu-1500MHz: 1500 0 0 4");
  EXPECT_EQ(NumbersOf(info.power_modes(3)), "2-cores: 2400 0 0 2");
}

TEST_F(PowerModesTest, AModeWithoutWattsInItsNameLeavesThemUnknown) {
  Write("/etc/nvpmodel.conf",
        "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n");
  const v1::DeviceInfo info = Read();
  ASSERT_EQ(info.power_modes_size(), 2);
  EXPECT_EQ(info.power_modes(1).nominal_power_watts(), 0);
  EXPECT_EQ(info.power_mode(), "");
  EXPECT_EQ(PlausiblePower(info), std::nullopt);
}

TEST_F(PowerModesTest, WhereAModeNamesNoWattsTheClassBoundsPlausiblePower) {
  Write("/etc/nvpmodel.conf",
        "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n");
  v1::DeviceInfo info = Read();
  info.set_device_class("jetson-orin-nano");
  EXPECT_EQ(PlausiblePower(info), Watts(100));
  info.set_device_class("jetson-orin-nano/cpu");
  EXPECT_EQ(PlausiblePower(info), Watts(100));
  info.set_device_class("jetson-orin-nano-of-a-friend");
  EXPECT_EQ(PlausiblePower(info), std::nullopt);
}

TEST_F(PowerModesTest, ABoardWithoutTheFileHasNone) {
  EXPECT_EQ(Read().power_modes_size(), 0);
  EXPECT_EQ(PlausiblePower(Read()), std::nullopt);
}

TEST_F(PowerModesTest, AnNvpmodelModeOfOthersIsSeenOnce) {
  Write("/etc/nvpmodel.conf",
        "< POWER_MODEL ID=0 NAME=MODE_10W >\n< POWER_MODEL ID=1 NAME=MODE_20W >\n");
  Write("/var/lib/nvpmodel/status", "pmode:0000\n");
  PowerModeWatch watch(directory_.path(), {});
  EXPECT_EQ(watch.Look("MODE_20W"), std::nullopt) << "the worker's own mode for an attempt";
  Write("/var/lib/nvpmodel/status", "pmode:0001\n");
  EXPECT_EQ(watch.Look("MODE_10W"), "MODE_20W");
  EXPECT_EQ(watch.Look("MODE_20W"), std::nullopt);
  Write("/var/lib/nvpmodel/status", "pmod");
  EXPECT_EQ(watch.Look("MODE_20W"), std::nullopt) << "half written";
}

TEST_F(PowerModesTest, AKernelModeOfOthersIsSeenAtTheSecondLook) {
  const auto mode = [](const std::string& name, const std::string& value) {
    return PowerModeRow{.name = name, .settings = {{.paths = {"/max_freq"}, .value = value}}};
  };
  Write("/max_freq", "2400\n");
  PowerModeWatch watch(directory_.path(), {mode("full", "2400"), mode("half", "1200")});
  EXPECT_EQ(watch.Look("full"), std::nullopt);
  Write("/max_freq", "1200\n");
  EXPECT_EQ(watch.Look("full"), std::nullopt);
  EXPECT_EQ(watch.Look("full"), "half");
  Write("/max_freq", "1900\n");
  EXPECT_EQ(watch.Look("half"), std::nullopt) << "a hot board's kernel lowers its caps by itself";
  EXPECT_EQ(watch.Look("half"), std::nullopt);
}

}  // namespace
}  // namespace wattle::agent
