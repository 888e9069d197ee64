// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/board_probe.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

#include "base/testing/test_directory.h"

namespace wattle::agent {
namespace {

using std::string_literals::operator""s;

class BoardProbeTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = std::filesystem::path(directory_.path()) / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
  TestDirectory directory_;
};

// `compatible` as written by NVIDIA's and Raspberry Pi's kernels.
TEST_F(BoardProbeTest, ABoardsClassIsThatOfItsModule) {
  const std::vector<std::pair<std::string, absl::string_view>> boards = {
      {"nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234"s,
       "jetson-orin-nano"},
      {"nvidia,p3768-0000+p3767-0000\0nvidia,tegra234"s, "jetson-orin-nx"},
      {"nvidia,p3737-0000+p3701-0005\0nvidia,tegra234"s, "jetson-agx-orin"},
      {"nvidia,p3449-0000+p3668-0001\0nvidia,p3668-0001\0nvidia,tegra194"s, "jetson-xavier-nx"},
      {"nvidia,p2822-0000+p2888-0004\0nvidia,tegra194"s, "jetson-agx-xavier"},
      {"nvidia,p2771-0000\0nvidia,p3310-1000\0nvidia,tegra186"s, "jetson-tx2"},
      {"nvidia,p3450-0000\0nvidia,jetson-nano\0nvidia,tegra210"s, "jetson-nano"},
      {"raspberrypi,5-model-b\0brcm,bcm2712"s, "raspberry-pi-5"}};
  for (const auto& [compatible, wanted] : boards) {
    Write("proc/device-tree/compatible", compatible);
    EXPECT_EQ(ProbeBoard(directory_.path()).device_class, wanted) << compatible;
  }
}

TEST_F(BoardProbeTest, InAContainerTheTreeThatIsMountedBesideCounts) {
  Write("run/device-tree/compatible", "nvidia,p3768-0000+p3767-0003\0nvidia,tegra234"s);
  Write("run/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0"s);
  const BoardIdentity identity = ProbeBoard(directory_.path());
  EXPECT_EQ(identity.device_class, "jetson-orin-nano");
  EXPECT_EQ(identity.board, "NVIDIA Jetson Orin Nano Developer Kit");
  Write("proc/device-tree/compatible", "raspberrypi,4-model-b\0brcm,bcm2711"s);
  EXPECT_EQ(ProbeBoard(directory_.path()).device_class, "raspberry-pi-4")
      << "the board's own first";
}

TEST_F(BoardProbeTest, WithoutADeviceTreeTheProcessorNamesTheClass) {
  Write("sys/class/dmi/id/product_name", "NUC\n");
  const BoardIdentity identity = ProbeBoard(directory_.path());
  EXPECT_EQ(identity.device_class.rfind("generic-", 0), 0U) << identity.device_class;
  EXPECT_EQ(identity.board, "NUC");
}

TEST_F(BoardProbeTest, ADriversNodeInDevIsADriver) {
  EXPECT_EQ(NvidiaDriverProblem(directory_.path()),
            "this machine has no NVIDIA driver (none of /dev/nvidia0, /dev/nvhost-gpu, "
            "/dev/nvgpu); install or load it, or start with --device cpu");
  Write("dev/nvgpu/igpu0/ctrl", "");
  EXPECT_EQ(NvidiaDriverProblem(directory_.path()), "");
}

}  // namespace
}  // namespace wattle::agent
