// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/crash_point.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(CrashPointTest, ReadsNameCountAndMoment) {
  const auto plain = ParseCrashPlan("finish");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->name, "finish");
  EXPECT_EQ(plain->count, 1);
  EXPECT_EQ(plain->moment, FileOperationMoment::kBefore);

  const auto full = ParseCrashPlan("weights:write:3:after");
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->name, "weights:write");
  EXPECT_EQ(full->count, 3);
  EXPECT_EQ(full->moment, FileOperationMoment::kAfter);
}

TEST(CrashPointTest, RefusesWhatNamesNoPlace) {
  for (const char* text : {"", ":", "3", "after", "progress:0", "progress:-1", ":write:1"}) {
    EXPECT_FALSE(ParseCrashPlan(text).has_value()) << text;
  }
}

// A child passes the place three times and leaves with 0.
TEST(CrashPointTest, AStoppedProcessGoesOnAndIsStoppedOnce) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    setenv("WATTLE_CRASH_AT", "here:2", 1);
    setenv("WATTLE_CRASH_SIGNAL", "STOP", 1);
    CrashPoint("here");
    CrashPoint("here");
    CrashPoint("here");
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  kill(child, SIGCONT);
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace wattle
