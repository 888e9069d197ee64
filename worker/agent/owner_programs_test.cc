// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/owner_programs.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/test_directory.h"

namespace wattle::agent {
namespace {

class OwnerProgramsTest : public testing::Test {
 protected:
  void Process(const std::string& number, const std::string& comm, const std::string& cmdline) {
    const std::filesystem::path folder = std::filesystem::path(directory_.path()) / "proc" / number;
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "comm") << comm << '\n';
    std::ofstream(folder / "cmdline") << cmdline;
  }
  TestDirectory directory_;
};

TEST_F(OwnerProgramsTest, AProcessHasTheNameOfItsFileAndOfTheKernel) {
  Process("1", "systemd", std::string("/sbin/init\0splash", 17));
  Process("812", "python3", std::string("/opt/robot/navigate-to-the-dock\0--fast", 38));
  Process("813", "video-recorder-", "");
  Process("self", "blender", "blender");  // a link in a real /proc, to the reader itself
  const std::string& root = directory_.path();
  EXPECT_EQ(RunningProgram(root, {"init"}), "init");
  EXPECT_EQ(RunningProgram(root, {"blender", "python3"}), "python3");
  EXPECT_EQ(RunningProgram(root, {"navigate-to-the-dock"}), "navigate-to-the-dock");
  EXPECT_EQ(RunningProgram(root, {"video-recorder-of-the-owner"}), "video-recorder-of-the-owner");
  EXPECT_EQ(RunningProgram(root, {"blender", "navigate", "splash", "opt"}), "");
  EXPECT_EQ(RunningProgram(root, {}), "");
}

TEST_F(OwnerProgramsTest, AServiceFromWhichProgramsAreHiddenIsKnown) {
  Process("812", "wattle-worker", "wattle-worker");
  EXPECT_FALSE(SeesProgramsOfOthers(directory_.path()));
  Process("1", "systemd", "/sbin/init");
  EXPECT_TRUE(SeesProgramsOfOthers(directory_.path()));
}

TEST_F(OwnerProgramsTest, WithoutProcNothingRuns) {
  EXPECT_EQ(RunningProgram(directory_.path(), {"init"}), "");
}

TEST(OwnerProgramsOfThisMachineTest, ThisTestRuns) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").filename().string();
  EXPECT_EQ(RunningProgram("", {"no-such-program-runs-here", self}), self);
}

}  // namespace
}  // namespace wattle::agent
