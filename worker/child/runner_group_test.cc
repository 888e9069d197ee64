// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The runner's control group, in a file tree like the kernel's, and in the kernel's own tree if
// this machine allows the test to make a group there.
#include "worker/child/runner_group.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/child/runner_process.h"

namespace wattle::child {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string TextOf(const std::string& path) {
  return ReadWholeFile(path).value_or("");
}

// A tree like the kernel's for a service with a delegated group.
class FakeTreeTest : public testing::Test {
 protected:
  FakeTreeTest() {
    Write("proc/self/mounts", "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
    Write("proc/self/cgroup", "0::/system.slice/wattle-worker.service\n");
    Group("", "memory pids cpu io\n");
    Group("/agent", "");
    Group("/runner", "");
    for (const char* file : {"memory.max", "memory.oom.group", "cpu.weight", "io.weight"}) {
      Write(absl::StrCat(kGroup, "/runner/", file), "");
    }
  }
  void Write(const std::string& path, const std::string& text) {
    const fs::path file = fs::path(directory_.path()) / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void Group(const std::string& name, const std::string& controllers) {
    for (const char* file : {"cgroup.procs", "cgroup.subtree_control"}) {
      Write(absl::StrCat(kGroup, name, "/", file), "");
    }
    Write(absl::StrCat(kGroup, name, "/cgroup.controllers"), controllers);
  }
  std::string Read(const std::string& name) {
    return TextOf(absl::StrCat(directory_.path(), "/", kGroup, "/", name));
  }

  static constexpr char kGroup[] = "sys/fs/cgroup/system.slice/wattle-worker.service";
  TestDirectory directory_;
};

TEST_F(FakeTreeTest, TheAgentMovesAsideAndTheRunnersGroupHasItsLimits) {
  const auto own = OwnGroupDirectory(directory_.path());
  ASSERT_THAT(own, IsOk());
  EXPECT_EQ(*own, absl::StrCat(directory_.path(), "/", kGroup));
  const auto group = RunnerGroup::Open(*own);
  ASSERT_THAT(group, IsOk());
  EXPECT_EQ((*group)->missing(), "");
  EXPECT_EQ(Read("agent/cgroup.procs"), "0");
  EXPECT_EQ(Read("cgroup.procs"), "") << "a group with controllers holds no process";
  EXPECT_THAT(Read("cgroup.subtree_control"), HasSubstr("+io")) << "the last of the three writes";
  const auto processes =
      (*group)->Make({.memory_bytes = int64_t{3} << 30, .cpu_weight = 50, .io_weight = 25});
  ASSERT_THAT(processes, IsOk());
  EXPECT_EQ(Read("runner/memory.max"), "3221225472");
  EXPECT_EQ(Read("runner/memory.oom.group"), "1");
  EXPECT_EQ(Read("runner/cpu.weight"), "50");
  EXPECT_EQ(Read("runner/io.weight"), "default 25");
  EXPECT_EQ(write(processes->get(), "0", 1), 1);
  EXPECT_EQ(Read("runner/cgroup.procs"), "0");
}

TEST_F(FakeTreeTest, AMissingControllerIsNamedAndTheOthersCount) {
  Group("", "memory pids\n");
  const std::string runner = absl::StrCat(directory_.path(), "/", kGroup, "/runner/");
  fs::remove(runner + "cpu.weight");
  fs::remove(runner + "io.weight");
  const auto group = RunnerGroup::Open(*OwnGroupDirectory(directory_.path()));
  ASSERT_THAT(group, IsOk());
  EXPECT_EQ((*group)->missing(), "cpu, io");
  ASSERT_THAT((*group)->Make({.memory_bytes = 5}), IsOk());
  EXPECT_EQ(Read("runner/memory.max"), "5");
  EXPECT_FALSE(fs::exists(runner + "cpu.weight"));
}

TEST_F(FakeTreeTest, AGroupOfOthersIsLeftAsItWas) {
  Write(absl::StrCat(kGroup, "/cgroup.procs"), "17\n18\n");
  const auto group = RunnerGroup::Open(*OwnGroupDirectory(directory_.path()));
  EXPECT_THAT(group.status(), StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
  EXPECT_THAT(std::string(group.status().message()), HasSubstr("not the worker's alone"));
}

TEST_F(FakeTreeTest, WithoutADelegatedGroupThereIsNone) {
  fs::remove(fs::path(directory_.path()) / kGroup / "cgroup.subtree_control");
  EXPECT_THAT(RunnerGroup::Open(*OwnGroupDirectory(directory_.path())).status(),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  Write("proc/self/cgroup", "9:memory:/x\n0::/\n");
  EXPECT_THAT(OwnGroupDirectory(directory_.path()).status(),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
  Write("proc/self/cgroup", "9:memory:/x\n");
  EXPECT_THAT(OwnGroupDirectory(directory_.path()).status(),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

// This machine's mount of cgroup v2; "": none.
std::string MountOfThisMachine() {
  for (const absl::string_view line : absl::StrSplit(TextOf("/proc/self/mounts"), '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words.size() > 2 && words[2] == "cgroup2") {
      return std::string(words[1]);
    }
  }
  return "";
}

std::string GroupOf(pid_t process) {
  for (const absl::string_view line :
       absl::StrSplit(TextOf(absl::StrCat("/proc/", process, "/cgroup")), '\n')) {
    if (line.substr(0, 3) == "0::") {
      return std::string(line.substr(3));
    }
  }
  return "";
}

TEST(KernelsTreeTest, ARunnerRunsInItsGroupWhichIsRemovedAfterIt) {
  const std::string mount = MountOfThisMachine();
  const std::string before = GroupOf(getpid());
  const std::string name = absl::StrCat("/wattle-test-", getpid());
  const std::string directory = mount + name;
  if (before.empty() || mount.empty() || mkdir(directory.c_str(), 0755) != 0) {
    GTEST_SKIP() << "this machine has no cgroup v2 in which a test may make a group";
  }
  {
    std::ofstream(directory + "/cgroup.procs") << "0";
    auto group = RunnerGroup::Open(directory);
    ASSERT_THAT(group, IsOk());
    EXPECT_EQ(GroupOf(getpid()), name + "/agent");
    auto processes = (*group)->Make({.memory_bytes = int64_t{1} << 30});
    ASSERT_THAT(processes, IsOk());
    v1::RunnerTask task;
    task.mutable_spec()->set_name("hang");
    absl::Notification alive;  // The runner has left the fork.
    absl::Notification done;
    auto runner = RunnerProcess::Start(
        {.program = WATTLE_BINARY_DIR "/bin/wattle_fake_runner", .group = processes->get()}, task,
        {.on_frame =
             [&alive](const v1::RunnerFrame& /*frame*/) {
               if (!alive.HasBeenNotified()) {
                 alive.Notify();
               }
             },
         .on_line = [](const std::string& /*line*/) {},
         .on_exit = [&done](const RunnerExit& /*exit*/) { done.Notify(); }});
    ASSERT_THAT(runner, IsOk());
    alive.WaitForNotification();
    EXPECT_EQ(GroupOf((*runner)->pid()), name + "/runner");
    if ((*group)->missing().find("memory") != std::string::npos) {
      std::printf("this machine's cgroup v2 has no memory controller: its limit is not tried\n");
    } else {
      EXPECT_EQ(TextOf(directory + "/runner/memory.max"), "1073741824\n");
    }
    (*runner)->Kill();
    done.WaitForNotification();
    (*group)->Remove();
    EXPECT_FALSE(fs::exists(directory + "/runner"));
  }
  std::ofstream(mount + before + "/cgroup.procs") << "0";
  rmdir((directory + "/agent").c_str());
  EXPECT_EQ(rmdir(directory.c_str()), 0);
}

}  // namespace
}  // namespace wattle::child
