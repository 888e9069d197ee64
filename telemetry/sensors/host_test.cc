// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <map>
#include <string>

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
using testing::Pair;

// The values of one Poll by metric and channel.
std::map<std::string, double> ValuesOf(Source& source) {
  const auto readings = source.Poll(Monotonic());
  EXPECT_THAT(readings, IsOk());
  std::map<std::string, double> values;
  for (const Reading& reading : readings.ok() ? *readings : std::vector<Reading>()) {
    const Channel& channel = source.info().channels[reading.channel];
    const auto* tally = std::get_if<Tally>(&reading.value);
    EXPECT_EQ(tally != nullptr, channel.metric.find("_total") == channel.metric.size() - 6 &&
                                    channel.metric != "wattle_memory_total_bytes")
        << channel.metric;
    values[channel.metric.substr(7) + " " + channel.name] =
        tally != nullptr ? tally->value : std::get<Level>(reading.value).value;
  }
  return values;
}

TEST(HostTest, EveryFamilyOnAJetson) {
  Tree tree;
  tree.Write("/proc", {{"stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4"},
                       {"meminfo",
                        "MemTotal:        7666688 kB\nMemFree: 12 kB\n"
                        "MemAvailable:    4000000 kB\nNvMapMemUsed:   1000 kB"},
                       {"diskstats",
                        " 259       0 nvme0n1 10 0 2000 5 20 0 4000 9 0 0 0\n"
                        " 259       1 nvme0n1p1 10 0 1000 5 20 0 1000 9 0 0 0"}});
  tree.Write("/proc/pressure", {{"memory",
                                 "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n"
                                 "full avg10=0.00 avg60=0.00 avg300=0.00 total=1000000"},
                                {"cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7"}});
  tree.Write("/sys/block/nvme0n1", {});
  tree.Write("/sys/block/loop0", {});
  tree.Write("/sys/class/net/lo/statistics", {{"rx_bytes", "1"}, {"tx_bytes", "1"}});
  tree.Write("/sys/class/net/wlan0/statistics", {{"rx_bytes", "123"}, {"tx_bytes", "45"}});
  tree.Write("/sys/devices/system/cpu/cpufreq/policy0", {{"scaling_cur_freq", "1344000"}});
  tree.Write("/sys/class/devfreq/17000000.gpu", {{"cur_freq", "918000000"}});
  tree.Write("/sys/class/devfreq/17000000.gpu/device", {{"load", "642"}});
  tree.Write("/sys/class/devfreq/3210000.emc", {{"cur_freq", "1"}});
  const auto source = Only(Discover("host", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_THAT(
      ValuesOf(*source),
      ElementsAre(Pair("cpu_frequency_hertz policy0", 1.344e9),
                  Pair("disk_read_bytes_total nvme0n1", 2000 * 512.0),
                  Pair("disk_written_bytes_total nvme0n1", 4000 * 512.0),
                  Pair("gpu_busy_ratio 17000000.gpu", testing::DoubleNear(0.642, 1e-9)),
                  Pair("gpu_frequency_hertz 17000000.gpu", 9.18e8),
                  Pair("memory_available_bytes machine", 4000000 * 1024.0),
                  Pair("memory_nvmap_bytes machine", 1000 * 1024.0),
                  Pair("memory_total_bytes machine", 7666688 * 1024.0),
                  Pair("network_receive_bytes_total wlan0", 123),
                  Pair("network_transmit_bytes_total wlan0", 45),
                  Pair("pressure_stalled_seconds_total cpu some", testing::DoubleNear(7e-6, 1e-12)),
                  Pair("pressure_stalled_seconds_total memory full", 1.0),
                  Pair("pressure_stalled_seconds_total memory some", 2.5)));
}

TEST(HostTest, LoadIsTheShareOfTimeBetweenTwoPolls) {
  Tree tree;
  tree.Write("/proc", {{"stat", "cpu  100 0 50 800 50 0 0 0 0 0"}});
  const auto source = Only(Discover("host", tree.root()));
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("nothing")));
  // 100 more ticks: 60 of work, 30 idle, 10 waiting for a disk.
  tree.Write("/proc", {{"stat", "cpu  140 0 70 830 60 0 0 0 0 0"}});
  EXPECT_THAT(ValuesOf(*source),
              ElementsAre(Pair("cpu_busy_ratio all", testing::DoubleNear(0.6, 1e-9))));
  // Counters that fell give no share.
  tree.Write("/proc", {{"stat", "cpu  1 0 1 1 1 0 0 0 0 0"}});
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("nothing")));
}

TEST(HostTest, HalfWrittenFilesGiveNoValueAndABareTreeNoSource) {
  Tree tree;
  EXPECT_THAT(Discover("host", tree.root()), IsEmpty());
  tree.Write("/proc", {{"meminfo", "MemTotal: 100 kB\nMemAvailable: 50 kB"}});
  const auto source = Only(Discover("host", tree.root()));
  tree.Write("/proc", {{"meminfo", "MemTotal: x kB\nMemAvail"}});
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("nothing")));
}

TEST(HostTest, ThisMachineHasMemory) {
  const auto source = Only(Discover("host", ""));
  ASSERT_NE(source, nullptr);
  EXPECT_GT(ValuesOf(*source)["memory_total_bytes machine"], 1e6);
}

}  // namespace
}  // namespace wattle::telemetry
