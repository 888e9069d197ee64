// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests against a library with NVML's interface (fake_nvml.cc) in a file tree.
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::IsEmpty;

class NvmlTest : public testing::Test {
 protected:
  ~NvmlTest() override { unsetenv("WATTLE_FAKE_NVML"); }
  void Install() {
    std::filesystem::create_directories(tree_.root() + "/usr/lib");
    std::filesystem::create_symlink(
        std::string(WATTLE_BINARY_DIR) + "/telemetry/sensors/libfake_nvml.so",
        tree_.root() + "/usr/lib/libnvidia-ml.so.1");
  }
  static void Behave(const char* how) { setenv("WATTLE_FAKE_NVML", how, 1); }
  Tree tree_;
};

// How many readings of the total are powers and how many are counters.
std::pair<int, int> InTotal(Source& source) {
  const auto readings = source.Poll(Monotonic());
  EXPECT_THAT(readings, IsOk());
  std::pair<int, int> numbers = {0, 0};
  for (const Reading& reading : *readings) {
    const bool in_total = source.info().channels[reading.channel].in_total;
    if (const auto* power = std::get_if<Watts>(&reading.value)) {
      EXPECT_NEAR(power->value(), 26.5, 1e-9);
      numbers.first += in_total ? 1 : 0;
    } else if (const auto* count = std::get_if<EnergyCount>(&reading.value)) {
      EXPECT_NEAR(count->value.value(), 7'000'123.456, 1e-3);
      numbers.second += in_total ? 1 : 0;
    } else {
      EXPECT_EQ(std::get<Celsius>(reading.value), Celsius(41));
    }
  }
  return numbers;
}

TEST_F(NvmlTest, PowersAreAddedWhereNotEveryGpuCountsEnergy) {
  Install();
  const auto source = Only(Discover("nvml", tree_.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(InTotal(*source), std::pair(2, 0));
  EXPECT_TRUE(source->info().has_thermometer());
  EXPECT_EQ(source->info().scope, "gpu");
}

TEST_F(NvmlTest, CountersAreAddedWhereEveryGpuHasOne) {
  Install();
  Behave("counts");
  const auto source = Only(Discover("nvml", tree_.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(InTotal(*source), std::pair(0, 2));
}

TEST_F(NvmlTest, AMissingOrInvalidLibraryIsNotACandidate) {
  EXPECT_THAT(Discover("nvml", tree_.root()), IsEmpty());
  tree_.Write("/usr/lib", {{"libnvidia-ml.so.1", "text"}});
  EXPECT_THAT(Discover("nvml", tree_.root()), IsEmpty());
}

TEST_F(NvmlTest, ADriverThatIsNotLoadedAndADeniedDeviceAreProblems) {
  Install();
  Behave("init");
  auto found = Discover("nvml", tree_.root());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found[0].problem, StatusIs(StatusCode::kUnavailable, HasSubstr("Driver Not Loaded")));
  Behave("denied");
  found = Discover("nvml", tree_.root());
  EXPECT_THAT(found[0].problem, StatusIs(StatusCode::kPermissionDenied, HasSubstr("/dev/nvidia")));
}

TEST_F(NvmlTest, AGpuThatIsLostIsAnError) {
  Install();
  const auto source = Only(Discover("nvml", tree_.root()));
  Behave("power");
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("lost")));
}

}  // namespace
}  // namespace wattle::telemetry
