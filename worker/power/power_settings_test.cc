// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/power/power_settings.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/sysfs.h"
#include "telemetry/sensors/testing/test_tree.h"
#include "worker/agent/storage/memory_disk.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;

constexpr char kGpu[] = "/sys/devices/17000000.gv11b/devfreq/17000000.gv11b";

class PowerSettingsTest : public testing::Test {
 protected:
  // A Xavier NX with two cores in its own mode.
  void MakeJetson() {
    for (const char* core : {"cpu0", "cpu1"}) {
      const std::string folder = std::string("/sys/devices/system/cpu/") + core;
      tree_.Write(folder, {{"online", "1"}});
      tree_.Write(folder + "/cpufreq",
                  {{"scaling_max_freq", "1900000"}, {"cpuinfo_max_freq", "1907200"}});
    }
    tree_.Write(kGpu, {{"max_freq", "1109250000"},
                       {"available_frequencies", "114750000 510000000 1109250000"}});
    tree_.Write("/etc",
                {{"nvpmodel.conf",
                  "< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
                  "CORE_1 /sys/devices/system/cpu/cpu1/online\n"
                  "< PARAM TYPE=CLOCK NAME=CPU >\n"
                  "MAX_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq\n"
                  "< PARAM TYPE=CLOCK NAME=GPU >\n"
                  "MAX_FREQ /sys/devices/gone/max_freq\n"
                  "MAX_FREQ_KNEXT /sys/devices/17000000.gv11b/devfreq/17000000.gv11b/max_freq\n"
                  "< POWER_MODEL ID=0 NAME=MODE_10W >\n"
                  "CPU_ONLINE CORE_1 0\nCPU MAX_FREQ 1200000\nGPU MAX_FREQ 510000000\n"
                  "< POWER_MODEL ID=1 NAME=MAXN >\n"
                  "CPU_ONLINE CORE_1 1\nCPU MAX_FREQ -1\nGPU MAX_FREQ -1\n"
                  "< PM_CONFIG DEFAULT=1 >"}});
  }
  void MakePi() {
    for (const char* core : {"cpu0", "cpu1", "cpu2", "cpu3"}) {
      const std::string folder = std::string("/sys/devices/system/cpu/") + core;
      tree_.Write(folder, {{"online", "1"}});
      tree_.Write(folder + "/cpufreq",
                  {{"scaling_max_freq", "2400000"},
                   {"cpuinfo_max_freq", "2400000"},
                   {"scaling_available_frequencies", "1500000 1600000 1700000 1800000 2400000"}});
    }
  }
  [[nodiscard]] std::string Text(const std::string& path) const {
    return telemetry::ReadText(tree_.root() + path).value_or("?");
  }
  [[nodiscard]] std::string Cpu(int core) const {
    const std::string folder = absl::StrCat("/sys/devices/system/cpu/cpu", core);
    return absl::StrCat(Text(folder + "/online"), " ", Text(folder + "/cpufreq/scaling_max_freq"));
  }

  telemetry::Tree tree_;
  MemoryDisk disk_{1};
};

TEST_F(PowerSettingsTest, AnNvpmodelModeIsSetAndTheOriginalRestored) {
  MakeJetson();
  const std::vector<PowerModeRow> modes = NvpmodelModes(tree_.root());
  ASSERT_EQ(modes.size(), 2);
  PowerSettings settings(tree_.root(), "boot", &disk_);
  ASSERT_THAT(settings.Set(modes[0]), IsOk());
  EXPECT_EQ(Cpu(0), "1 1200000");
  EXPECT_EQ(Cpu(1), "0 1900000");
  EXPECT_EQ(Text(std::string(kGpu) + "/max_freq"), "510000000");
  // Without a cap the hardware's maximum counts, which is not the earlier setting.
  ASSERT_THAT(settings.Set(modes[1]), IsOk());
  EXPECT_EQ(Cpu(0), "1 1907200");
  EXPECT_EQ(Text(std::string(kGpu) + "/max_freq"), "1109250000");
  ASSERT_THAT(settings.Restore(), IsOk());
  EXPECT_EQ(Cpu(0), "1 1900000");
  EXPECT_EQ(Cpu(1), "1 1900000");
  EXPECT_TRUE(disk_.files().empty());
}

TEST_F(PowerSettingsTest, AWorkerThatWasKilledRestoresWhenItStartsAgain) {
  MakeJetson();
  ASSERT_THAT(PowerSettings(tree_.root(), "boot", &disk_).Set(NvpmodelModes(tree_.root())[0]),
              IsOk());
  PowerSettings next(tree_.root(), "boot", &disk_);
  ASSERT_THAT(next.Restore(), IsOk());
  EXPECT_EQ(Cpu(0), "1 1900000");
  EXPECT_EQ(Cpu(1), "1 1900000");
}

TEST_F(PowerSettingsTest, TheOriginalsAreOnTheDiskBeforeAFileChanges) {
  MakeJetson();
  disk_.set_full(true);
  EXPECT_FALSE(
      PowerSettings(tree_.root(), "boot", &disk_).Set(NvpmodelModes(tree_.root())[0]).ok());
  EXPECT_EQ(Cpu(0), "1 1900000");
}

TEST_F(PowerSettingsTest, SettingsOfAnEarlierBootAreForgotten) {
  MakeJetson();
  ASSERT_THAT(PowerSettings(tree_.root(), "boot", &disk_).Set(NvpmodelModes(tree_.root())[0]),
              IsOk());
  PowerSettings next(tree_.root(), "next boot", &disk_);
  ASSERT_THAT(next.Restore(), IsOk());
  EXPECT_EQ(Cpu(0), "1 1200000");
}

TEST_F(PowerSettingsTest, AFileThatCannotBeWrittenLeavesTheBoardAsItWas) {
  MakeJetson();
  // Even root may only read this file.
  std::filesystem::create_symlink("/proc/version", tree_.root() + "/locked");
  const PowerModeRow mode = {
      .name = "half",
      .settings = {{{"/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq"}, "1000000"},
                   {{"/locked"}, "1"}}};
  PowerSettings settings(tree_.root(), "boot", &disk_);
  EXPECT_FALSE(settings.Set(mode).ok());
  EXPECT_EQ(Cpu(0), "1 1900000");
}

TEST_F(PowerSettingsTest, ABoardWithoutNvpmodelHasModesOfItsFrequenciesAndCores) {
  MakePi();
  const std::vector<PowerModeRow> modes = KernelModes(tree_.root());
  std::vector<std::string> names;
  for (const PowerModeRow& mode : modes) {
    names.push_back(mode.name);
  }
  EXPECT_THAT(names, ElementsAre("full", "cpu-1800MHz", "cpu-1500MHz", "2-cores"));
  EXPECT_EQ(ActiveKernelMode(tree_.root(), modes), "full");
  PowerSettings settings(tree_.root(), "boot", &disk_);
  ASSERT_THAT(settings.Set(modes[1]), IsOk());
  EXPECT_EQ(ActiveKernelMode(tree_.root(), modes), "cpu-1800MHz");
  ASSERT_THAT(settings.Set(modes[3]), IsOk());
  EXPECT_EQ(Cpu(1), "1 2400000");
  EXPECT_EQ(Cpu(2), "0 1800000");
  EXPECT_EQ(ActiveKernelMode(tree_.root(), modes), "2-cores");
  ASSERT_THAT(settings.Restore(), IsOk());
  EXPECT_EQ(ActiveKernelMode(tree_.root(), modes), "full");
}

// A Jetson of a mainline kernel: without nvpmodel, with a GPU whose frequency can be capped.
TEST_F(PowerSettingsTest, AGpuWhoseFrequencyCanBeCappedHasAModeOfItsOwn) {
  MakePi();
  const std::string gpu = "/sys/class/devfreq/17000000.gpu";
  tree_.Write(gpu, {{"max_freq", "918000000"},
                    {"available_frequencies", "918000000 306000000 510000000 408000000"}});
  // The memory's clock is no GPU.
  tree_.Write("/sys/class/devfreq/31b0000.emc",
              {{"max_freq", "3199000000"}, {"available_frequencies", "204000000 3199000000"}});
  const std::vector<PowerModeRow> modes = KernelModes(tree_.root());
  ASSERT_EQ(modes.size(), 5);
  EXPECT_EQ(modes[4].name, "gpu-408MHz");  // the highest within half of 918 MHz
  EXPECT_EQ(ActiveKernelMode(tree_.root(), modes), "full");
  PowerSettings settings(tree_.root(), "boot", &disk_);
  ASSERT_THAT(settings.Set(modes[4]), IsOk());
  EXPECT_EQ(Text(gpu + "/max_freq"), "408000000");
  EXPECT_EQ(Cpu(0), "1 2400000");
  EXPECT_EQ(ActiveKernelMode(tree_.root(), modes), "gpu-408MHz");
  // Every mode sets every cap: a cap of the processor takes that of the GPU away.
  ASSERT_THAT(settings.Set(modes[1]), IsOk());
  EXPECT_EQ(Text(gpu + "/max_freq"), "918000000");
  EXPECT_EQ(ActiveKernelMode(tree_.root(), modes), "cpu-1800MHz");
  ASSERT_THAT(settings.Set(modes[4]), IsOk());
  ASSERT_THAT(PowerSettings(tree_.root(), "boot", &disk_).Restore(), IsOk());  // after a kill
  EXPECT_EQ(Text(gpu + "/max_freq"), "918000000");
  EXPECT_EQ(Text("/sys/class/devfreq/31b0000.emc/max_freq"), "3199000000");
}

TEST_F(PowerSettingsTest, AGpuThatListsNoFrequenciesHasNoMode) {
  MakePi();
  tree_.Write("/sys/class/devfreq/17000000.gpu", {{"max_freq", "918000000"}});
  EXPECT_EQ(KernelModes(tree_.root()).size(), 4);
}

TEST_F(PowerSettingsTest, AMachineWhoseFrequenciesCannotBeCappedHasNoModes) {
  tree_.Write("/sys/devices/system/cpu/cpu0", {{"online", "1"}});
  EXPECT_TRUE(KernelModes(tree_.root()).empty());
}

}  // namespace
}  // namespace wattle::agent
