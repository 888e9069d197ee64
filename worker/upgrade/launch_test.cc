// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The real wattle-launch, with scripts as workers: each logs its version, and ends as specified.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "worker/agent/storage/posix_disk.h"
#include "worker/agent/storage/upgrade_file.h"
#include "worker/upgrade/releases.h"
#include "worker/upgrade/trial.h"

namespace wattle::upgrade {
namespace {

namespace fs = std::filesystem;

constexpr char kOld[] = "1.4.0";
constexpr char kNew[] = "1.5.0";
constexpr char kCrashes[] = "exit 1";

class LaunchTest : public testing::Test {
 protected:
  LaunchTest()
      : root_(fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name()),
        releases_((root_ / "releases").string()) {
    Reset(kCrashes);
  }

  void Reset(const std::string& new_ends) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "state");
    Program(kOld, "exit 0");
    Program(kNew, new_ends);
    EXPECT_THAT(releases_.Switch(kOld), IsOk());
  }

  // A worker that logs its version and its flags.
  void Program(const std::string& version, const std::string& ends) {
    Program(root_ / "releases" / version / "bin/wattle-worker", version, ends);
  }
  void Program(const fs::path& program, const std::string& version, const std::string& ends) const {
    fs::create_directories(program.parent_path());
    std::ofstream(program) << "#!/bin/sh\necho " << version << " \"$5\" >>" << root_ / "log"
                           << "\n"
                           << ends << "\n";
    chmod(program.c_str(), 0755);
  }

  // From now on wattle-launch lies beside a worker of this test.
  void InstallApart() {
    Program(root_ / "installed/wattle-worker", "installed", "exit 0");
    fs::copy_file(launch_, root_ / "installed/wattle-launch");
    launch_ = root_ / "installed/wattle-launch";
  }

  // The old worker switches, and its trial has this much of its time left.
  void Switch(absl::Duration left = kTrialTime) {
    v1::UpgradeRecord record;
    record.mutable_order()->set_upgrade_id("u1");
    record.mutable_order()->set_version(kNew);
    record.set_from_version(kOld);
    record.set_from_release(kOld);
    const auto boot_id = ReadWholeFile("/proc/sys/kernel/random/boot_id");
    ASSERT_THAT(boot_id, IsOk());
    BeginTrial(std::string(absl::StripAsciiWhitespace(*boot_id)),
               Clock::Real().Boottime() - (kTrialTime - left), record);
    Write(record);
    ASSERT_THAT(releases_.Switch(kNew), IsOk());
  }
  void Write(const v1::UpgradeRecord& record) {
    const auto disk = agent::PosixDisk::Open((root_ / "state").string());
    ASSERT_THAT(disk, IsOk());
    ASSERT_THAT(agent::WriteUpgradeRecord(record, **disk), IsOk());
  }
  v1::UpgradeRecord Record() {
    const auto disk = agent::PosixDisk::Open((root_ / "state").string());
    EXPECT_THAT(disk, IsOk());
    return disk.ok() ? agent::ReadUpgradeRecord(**disk) : v1::UpgradeRecord();
  }

  // One start by the service manager; how it ended, by waitpid. crash_at: WATTLE_CRASH_AT.
  int Launch(const std::string& crash_at = "") {
    const pid_t child = fork();
    if (child == 0) {
      setenv("WATTLE_CRASH_AT", crash_at.c_str(), 1);
      execl(launch_.c_str(), "wattle-launch", "--state-dir", (root_ / "state").c_str(),
            "--releases", (root_ / "releases").c_str(), "--label", "a=b", nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }
  // Which workers ran, in order.
  std::vector<std::string> Ran() {
    std::vector<std::string> versions;
    const auto log = ReadWholeFile((root_ / "log").string());
    for (const absl::string_view line : absl::StrSplit(log.value_or(""), '\n', absl::SkipEmpty())) {
      versions.emplace_back(line.substr(0, line.find(' ')));
    }
    return versions;
  }

  int64_t CountOf(const std::string& version) {
    const std::vector<std::string> ran = Ran();
    return std::count(ran.begin(), ran.end(), version);
  }

  const fs::path root_;
  const Releases releases_;
  fs::path launch_ = absl::StrCat(WATTLE_BINARY_DIR, "/bin/wattle-launch");
};

TEST_F(LaunchTest, WithoutAnUpgradeTheLinkSaysWhatRuns) {
  Launch();
  EXPECT_THAT(Ran(), testing::ElementsAre(kOld));
  EXPECT_EQ(absl::StripAsciiWhitespace(*ReadWholeFile((root_ / "log").string())),
            "1.4.0 --label");  // its flags are passed on
}

TEST_F(LaunchTest, AWorkerThatCrashesIsLeftAfterThreeStarts) {
  Switch();
  for (int start = 0; start < 5; ++start) {
    Launch();
  }
  EXPECT_THAT(Ran(), testing::ElementsAre(kNew, kNew, kNew, kOld, kOld));
  EXPECT_EQ(releases_.Current(), kOld);
  EXPECT_THAT(Record().failure(), testing::HasSubstr("ended 3 times"));
}

TEST_F(LaunchTest, AProgramThatCannotRunIsLeftAtOnce) {
  for (const char* content : {"\x7f"
                              "ELF of nothing",
                              ""}) {
    Reset(kCrashes);
    const fs::path program = root_ / "releases" / kNew / "bin/wattle-worker";
    fs::remove(program);
    if (*content != '\0') {
      std::ofstream(program) << content;
      chmod(program.c_str(), 0755);
    }
    Switch();
    Launch();
    EXPECT_THAT(Ran(), testing::ElementsAre(kOld));
    EXPECT_EQ(releases_.Current(), kOld);
    EXPECT_THAT(Record().failure(), testing::HasSubstr("cannot be started"));
  }
}

// A trial ended long ago, and the disk loses a program.
TEST_F(LaunchTest, InPlaceOfALostReleaseAnotherOneRuns) {
  Switch();
  v1::UpgradeRecord record = Record();
  record.set_passed(true);
  Write(record);
  const fs::path program = root_ / "releases" / kNew / "bin/wattle-worker";
  for (const char* content : {"\x7f"
                              "ELF of nothing",
                              ""}) {
    fs::remove(program);
    if (*content != '\0') {
      std::ofstream(program) << content;
      chmod(program.c_str(), 0755);
    }
    EXPECT_EQ(WEXITSTATUS(Launch()), 0);
  }
  EXPECT_EQ(CountOf(kOld), 2);
  EXPECT_EQ(releases_.Current(), kNew) << "the next start tries it again";
  Program(kNew, "exit 0");
  Launch();
  EXPECT_THAT(Ran(), testing::ElementsAre(kOld, kOld, kNew));
}

TEST_F(LaunchTest, WithoutAnyReleaseThatRunsTheInstalledWorkerDoes) {
  fs::remove(root_ / "releases" / kOld / "bin/wattle-worker");
  fs::remove_all(root_ / "releases" / kNew);
  InstallApart();
  EXPECT_EQ(WEXITSTATUS(Launch()), 0);
  EXPECT_THAT(Ran(), testing::ElementsAre("installed"));
  fs::remove(root_ / "installed/wattle-worker");
  EXPECT_EQ(WEXITSTATUS(Launch()), 1);
}

TEST_F(LaunchTest, AReleaseThatFailedItsTestIsNoReplacement) {
  Switch();
  v1::UpgradeRecord record = Record();
  record.set_failure("it ended 3 times");
  Write(record);
  fs::remove(root_ / "releases" / kOld / "bin/wattle-worker");
  InstallApart();
  EXPECT_EQ(WEXITSTATUS(Launch()), 0);
  EXPECT_THAT(Ran(), testing::ElementsAre("installed"));
}

TEST_F(LaunchTest, AWorkerThatPassedStays) {
  Switch();
  v1::UpgradeRecord record = Record();
  record.set_passed(true);
  Write(record);
  for (int start = 0; start < 5; ++start) {
    Launch();
  }
  EXPECT_THAT(Ran(), testing::ElementsAre(kNew, kNew, kNew, kNew, kNew));
}

TEST_F(LaunchTest, AWorkerThatHangsIsEndedAndLeft) {
  Program(kNew, "exec sleep 600");
  Switch(absl::Seconds(2));
  const int status = Launch();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  Launch();
  EXPECT_THAT(Ran(), testing::ElementsAre(kNew, kOld));
  EXPECT_THAT(Record().failure(), testing::HasSubstr("within 9m30s"));
}

TEST_F(LaunchTest, ACutOfTheLinkIsMadeUpFor) {
  Switch();
  ASSERT_THAT(releases_.Switch(kOld), IsOk());  // the state before the switch
  Launch();
  EXPECT_THAT(Ran(), testing::ElementsAre(kNew));
}

TEST_F(LaunchTest, AKillAtEachPlaceLeavesOldOrNewAndEndsAtTheOld) {
  for (const char* place : {"state:write", "state:sync", "state:rename", "state:sync_directory",
                            "launch:recorded", "release:switch", "release:linked"}) {
    for (const int start_of_kill : {0, 3}) {
      SCOPED_TRACE(absl::StrCat(place, " at start ", start_of_kill));
      Reset(kCrashes);
      Switch();
      for (int start = 0; start < 7; ++start) {
        Launch(start == start_of_kill ? place : "");
        ASSERT_THAT(releases_.Current(), testing::AnyOf(kOld, kNew));
      }
      EXPECT_EQ(releases_.Current(), kOld);
      EXPECT_EQ(Ran().back(), kOld);
      EXPECT_LE(CountOf(kNew), kStartsMax);
    }
  }
}

TEST_F(LaunchTest, WithoutItsFoldersItSaysWhatItWants) {
  EXPECT_EQ(WEXITSTATUS(std::system(absl::StrCat(WATTLE_BINARY_DIR, "/bin/wattle-launch").c_str())),
            2);
}

}  // namespace
}  // namespace wattle::upgrade
