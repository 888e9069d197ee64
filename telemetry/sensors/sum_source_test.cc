// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests a machine with RAPL and NVIDIA's GPUs (the library of fake_nvml.cc).
#include "telemetry/sensors/sum_source.h"

#include <cstdlib>
#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

class SumSourceTest : public testing::Test {
 protected:
  SumSourceTest() {
    tree_.Write(
        "/sys/class/powercap/intel-rapl:0",
        {{"name", "package-0"}, {"energy_uj", "5000000"}, {"max_energy_range_uj", "9000000"}});
    std::filesystem::create_directories(tree_.root() + "/usr/lib");
    std::filesystem::create_symlink(
        std::string(WATTLE_BINARY_DIR) + "/telemetry/sensors/libfake_nvml.so",
        tree_.root() + "/usr/lib/libnvidia-ml.so.1");
  }
  ~SumSourceTest() override { unsetenv("WATTLE_FAKE_NVML"); }
  std::vector<Candidate> Found(const char* gpus) {
    setenv("WATTLE_FAKE_NVML", gpus, 1);
    return DiscoverSources(tree_.root());
  }
  Tree tree_;
};

TEST_F(SumSourceTest, CountersOfProcessorsAndGpusAreOneTotal) {
  const auto source = Only(Found("counts"));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(source->info().scope, "soc_rails_and_gpu");
  EXPECT_TRUE(source->info().has_thermometer());
  const auto readings = source->Poll(Monotonic(absl::Seconds(3)));
  ASSERT_THAT(readings, IsOk());
  double joules = 0;
  for (const Reading& reading : *readings) {
    ASSERT_LT(reading.channel, source->info().channels.size());
    if (source->info().channels[reading.channel].in_total) {
      joules += std::get<EnergyCount>(reading.value).value.value();
    }
  }
  EXPECT_NEAR(joules, 5 + 2 * 7'000'123.456, 1e-3);
}

TEST_F(SumSourceTest, APartThatFailsLeavesNoSum) {
  const auto source = Only(Found("counts"));
  tree_.Write("/sys/class/powercap/intel-rapl:0", {{"energy_uj", ""}});
  EXPECT_THAT(source->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("energy_uj")));
}

TEST_F(SumSourceTest, GpusThatTellPowerAloneStayApart) {
  const auto found = Found("");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "rapl");
  EXPECT_EQ(found[1].name, "nvml");
}

TEST_F(SumSourceTest, ADeniedRaplLeavesTheGpusAlone) {
  std::filesystem::remove_all(tree_.root() + "/sys/class/powercap");
  const auto found = Found("counts");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].name, "nvml");
}

}  // namespace
}  // namespace wattle::telemetry
