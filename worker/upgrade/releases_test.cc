// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/upgrade/releases.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"

namespace wattle::upgrade {
namespace {

namespace fs = std::filesystem;

class ReleasesTest : public testing::Test {
 protected:
  ReleasesTest()
      : root_(fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name()),
        releases_((root_ / "releases").string()) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "releases");
  }
  // A folder as the cache holds it: no file may be executed.
  std::string Source(const std::string& content) {
    const fs::path source = root_ / ("source-" + content);
    fs::create_directories(source / "bin");
    fs::create_directories(source / "share");
    for (const char* name : {"bin/wattle-worker", "bin/wattle-runner", "share/board.yaml"}) {
      std::ofstream(source / name) << content;
      chmod((source / name).c_str(), 0400);
    }
    return source.string();
  }

  const fs::path root_;
  const Releases releases_;
};

TEST_F(ReleasesTest, AnInstalledReleaseIsWholeAndItsProgramsMayRun) {
  ASSERT_THAT(releases_.Install("1.5.0", Source("new")), IsOk());
  EXPECT_EQ(releases_.Current(), "");
  ASSERT_THAT(releases_.Switch("1.5.0"), IsOk());
  EXPECT_EQ(releases_.Current(), "1.5.0");
  EXPECT_EQ(*ReadWholeFile(releases_.Program("wattle-worker")), "new");
  const auto may_run = [&](const char* name) {
    return (fs::status(root_ / "releases/1.5.0" / name).permissions() & fs::perms::owner_exec) !=
           fs::perms::none;
  };
  EXPECT_TRUE(may_run("bin/wattle-worker"));
  EXPECT_TRUE(may_run("bin/wattle-runner"));
  EXPECT_FALSE(may_run("share/board.yaml"));
}

TEST_F(ReleasesTest, WhatACutLeftIsReplacedAndRemoved) {
  fs::create_directories(root_ / "releases/1.5.0.partial/bin");
  std::ofstream(root_ / "releases/1.5.0.partial/bin/stale") << "stale";
  fs::create_directories(root_ / "releases/1.3.0");
  ASSERT_THAT(releases_.Install("1.5.0", Source("a")), IsOk());
  ASSERT_THAT(releases_.Install("1.5.0", Source("b")), IsOk());
  ASSERT_THAT(releases_.Switch("1.5.0"), IsOk());
  EXPECT_EQ(*ReadWholeFile(releases_.Program("wattle-runner")), "b");
  EXPECT_FALSE(fs::exists(root_ / "releases/1.5.0/bin/stale"));
  releases_.KeepOnly({"1.5.0"});
  EXPECT_FALSE(fs::exists(root_ / "releases/1.3.0"));
  EXPECT_EQ(releases_.Current(), "1.5.0");
}

TEST_F(ReleasesTest, ALinkIsSwappedAndTakenAway) {
  ASSERT_THAT(releases_.Switch("1.4.0"), IsOk());
  ASSERT_THAT(releases_.Switch("1.5.0"), IsOk());
  EXPECT_EQ(releases_.Current(), "1.5.0");
  ASSERT_THAT(releases_.Switch(""), IsOk());
  EXPECT_EQ(releases_.Current(), "");
  EXPECT_FALSE(fs::is_symlink(root_ / "releases/current"));
}

TEST_F(ReleasesTest, AReleaseWithoutARunnerIsRefusedByName) {
  const std::string source = Source("half");
  fs::remove(source + "/bin/wattle-runner");
  const absl::Status status = releases_.Install("1.5.0", source);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               testing::HasSubstr("has no bin/wattle-runner")));
  EXPECT_FALSE(fs::exists(root_ / "releases/1.5.0"));
}

}  // namespace
}  // namespace wattle::upgrade
