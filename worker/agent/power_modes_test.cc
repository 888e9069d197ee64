// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/power_modes.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/test_directory.h"

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
