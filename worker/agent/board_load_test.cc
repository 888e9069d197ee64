// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/board_load.h"

#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/test_directory.h"

namespace wattle::agent {
namespace {

class BoardLoadTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = std::filesystem::path(directory_.path()) / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void Process(int number, const std::string& name, int parent, int user, int of_children) {
    Write(absl::StrCat("proc/", number, "/stat"),
          absl::StrCat(number, " (", name, ") S ", parent, " 1 1 0 -1 4194304 9 9 9 9 ", user,
                       " 5 ", of_children, " 0 20 0 4 0 100 1000 10"));
  }
  [[nodiscard]] absl::Duration Ticks(int64_t ticks) const {
    return ticks * absl::Seconds(1) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  TestDirectory directory_;
};

TEST_F(BoardLoadTest, TheWorkersProcessesAreItsOwnAndIdleTimeIsNoLoad) {
  Write("proc/stat",
        "cpu  1000 20 300 90000 4000 5 60 7 900 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 1 1 1\n"
        "intr 5 6\n");
  Write("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n");
  Process(1, "systemd", 0, 100, 4000);
  Process(40, "wattle-worker", 1, 10, 70);
  Process(41, "wattle) S 1 (runner", 40, 200, 0);
  Process(42, "grandchild", 41, 30, 0);
  Process(50, "camera", 1, 500, 0);
  const BoardLoad load = ReadBoardLoad(directory_.path(), 40);
  EXPECT_EQ(load.cores, 2);
  EXPECT_EQ(load.busy, Ticks(1000 + 20 + 300 + 5 + 60 + 7));
  EXPECT_EQ(load.own, Ticks(10 + 70 + 200 + 30 + 3 * 5));
  EXPECT_EQ(load.waited, absl::Seconds(2.5));
}

TEST_F(BoardLoadTest, WithoutTheKernelsFilesNobodyTells) {
  EXPECT_EQ(ReadBoardLoad(directory_.path(), 40).cores, 0);
}

TEST_F(BoardLoadTest, ParentsThatFormARingEnd) {
  Write("proc/stat", "cpu  1 1 1 1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n");
  Process(7, "a", 8, 1, 0);
  Process(8, "b", 7, 1, 0);
  EXPECT_EQ(ReadBoardLoad(directory_.path(), 40).own, absl::ZeroDuration());
}

TEST(BoardLoadOfThisMachineTest, WorkOfThisProcessIsItsOwn) {
  const BoardLoad before = ReadBoardLoad("", getpid());
  ASSERT_GT(before.cores, 0);
  const std::clock_t begin = std::clock();
  volatile double sink = 0;
  while (std::clock() - begin < CLOCKS_PER_SEC / 5) {
    sink = sink + 1;
  }
  const BoardLoad after = ReadBoardLoad("", getpid());
  EXPECT_GE(after.own - before.own, absl::Milliseconds(150));
  EXPECT_GE(after.busy - before.busy, absl::Milliseconds(100));
}

}  // namespace
}  // namespace wattle::agent
