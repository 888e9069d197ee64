// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that the registry has every kind, docs/metrics.md every metric that a source can show, and
// docs/operate/sensors.md every kind and setting.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using testing::HasSubstr;

std::string Document(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(std::string(WATTLE_SOURCE_DIR) + "/docs/" + name).rdbuf();
  return text.str();
}

// One board with something of everything.
void WriteEverything(Tree& tree) {
  tree.Write(
      "/sys/class/hwmon/hwmon0",
      {{"name", "ina3221"}, {"in1_label", "VDD_IN"}, {"in1_input", "5"}, {"curr1_input", "1"}});
  tree.Write(
      "/sys/class/hwmon/hwmon1",
      {{"name", "ina228"}, {"in1_input", "8000"}, {"curr1_input", "9"}, {"energy1_input", "7"}});
  tree.Write("/sys/class/hwmon/hwmon2", {{"name", "soctherm_oc"}, {"oc1_event_cnt", "0"}});
  tree.Write("/sys/class/hwmon/hwmon3", {{"name", "rpi_volt"}, {"in0_lcrit_alarm", "0"}});
  tree.Write("/vcgencmd", {{"get_throttled", "throttled=0x0"},
                           {"pmic_read_adc", "A_A current(0)=1A\nA_V volt(1)=1V"}});
  tree.Write("/sys/class/power_supply/BAT0", {{"type", "Battery"}, {"capacity", "50"}});
  tree.Write("/sys/class/powercap/intel-rapl:0", {{"name", "package-0"}, {"energy_uj", "1"}});
  tree.Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu"}, {"temp", "1000"}});
  tree.Write("/sys/class/thermal/cooling_device0",
             {{"type", "cpu-throttle-alert"}, {"cur_state", "0"}});
  std::filesystem::create_directories(tree.root() + "/usr/lib");
  std::filesystem::create_symlink(
      std::string(WATTLE_BINARY_DIR) + "/telemetry/sensors/libfake_nvml.so",
      tree.root() + "/usr/lib/libnvidia-ml.so.1");
  tree.Write("/proc", {{"stat", "cpu 1 2 3 4 5 6"},
                       {"meminfo", "MemTotal: 1 kB\nMemAvailable: 1 kB\nNvMapMemUsed: 1 kB"},
                       {"diskstats", "8 0 sda 1 1 1 1 1 1 1 1 1 1 1"}});
  tree.Write("/proc/pressure", {{"cpu", "some avg10=0.00 total=1"}});
  tree.Write("/sys/block/sda", {});
  tree.Write("/sys/class/net/eth0/statistics", {{"rx_bytes", "1"}, {"tx_bytes", "1"}});
  tree.Write("/sys/devices/system/cpu/cpufreq/policy0", {{"scaling_cur_freq", "1"}});
  tree.Write("/sys/class/devfreq/17000000.gpu", {{"cur_freq", "1"}});
  tree.Write("/sys/class/devfreq/17000000.gpu/device", {{"load", "1"}});
}

std::vector<SourceSettings> EverySetting(Tree& tree) {
  tree.Write("/", {{"tegrastats.log", "VDD_IN 1mW/1mW CPU@42C"}});
  return {{.kind = "ina2xx", .values = {{"position", "battery"}, {"chemistry", "li-ion"}}},
          {.kind = "smart_plug", .values = {{"model", "shelly"}, {"address", "plug"}}},
          {.kind = "nut", .values = {{"ups", "u"}}},
          {.kind = "max1704x", .values = {{"bus", "1"}}},
          {.kind = "tegrastats_log", .values = {{"file", tree.root() + "/tegrastats.log"}}}};
}

TEST(RegistryTest, TheRowOfEveryFileIsInTheList) {
  std::set<std::string> listed;
  for (const SourceKind& kind : AllSourceKinds()) {
    EXPECT_TRUE(listed.insert(kind.name).second) << kind.name << " is listed twice";
  }
  const std::regex row(R"re(SourceKind k\w+Kind = \{"(\w+)")re");
  std::set<std::string> written;
  for (const auto& file :
       std::filesystem::directory_iterator(std::string(WATTLE_SOURCE_DIR) + "/telemetry/sensors")) {
    std::ostringstream text;
    text << std::ifstream(file.path()).rdbuf();
    const std::string source = text.str();
    if (std::smatch match; std::regex_search(source, match, row)) {
      written.insert(match[1]);
    }
  }
  EXPECT_EQ(listed, written);
}

TEST(SensorDocumentationTest, MetricsHasEveryFamilyOfEveryKind) {
  Tree tree;
  WriteEverything(tree);
  const std::vector<SourceSettings> settings = EverySetting(tree);
  ASSERT_TRUE(CheckSettings(settings).ok()) << CheckSettings(settings);
  const std::string metrics = Document("metrics.md");
  for (const SourceKind& kind : AllSourceKinds()) {
    std::vector<SourceSettings> own;
    for (const SourceSettings& entry : settings) {
      if (entry.kind == kind.name) {
        own.push_back(entry);
      }
    }
    const std::vector<Candidate> found = kind.discover(tree.root(), own);
    EXPECT_FALSE(found.empty()) << kind.name << ": nothing here shows this kind; add its files";
    for (const Candidate& candidate : found) {
      ASSERT_NE(candidate.source, nullptr) << candidate.name << ": " << candidate.problem;
      for (const Channel& channel : candidate.source->info().channels) {
        EXPECT_THAT(metrics, HasSubstr(absl::StrCat("`", channel.metric, "`"))) << candidate.name;
      }
    }
  }
}

TEST(SensorDocumentationTest, TheOperatorsPageHasEveryKindAndSetting) {
  const std::string page = Document("operate/sensors.md");
  for (const SourceKind& kind : AllSourceKinds()) {
    for (const Setting& setting : kind.settings) {
      EXPECT_THAT(page, HasSubstr(absl::StrCat("`", setting.name, "`"))) << kind.name;
      EXPECT_THAT(page, HasSubstr(absl::StrCat("`", kind.name, "`")));
    }
  }
}

}  // namespace
}  // namespace wattle::telemetry
