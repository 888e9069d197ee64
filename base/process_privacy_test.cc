// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/process_privacy.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(ProcessPrivacyTest, ACrashLeavesNoCoreFile) {
  const pid_t child = fork();
  if (child == 0) {
    rlimit limit = {};
    getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CORE, &limit);
    LeaveNoCoreFile();
    getrlimit(RLIMIT_CORE, &limit);
    if (limit.rlim_max > 1) {
      _exit(1);
    }
    std::abort();
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the limit was not lowered for good";
  EXPECT_FALSE(WCOREDUMP(status));
}

TEST(ProcessPrivacyTest, TheListOfProcessesShowsNoSecret) {
  std::string program = "wattle";
  std::string verb = "login";
  std::string token = "wattle1:10.0.0.1:7410:id:secret:pin";
  std::array<char*, 3> arguments = {program.data(), verb.data(), token.data()};
  HideArguments(static_cast<int>(arguments.size()), arguments.data(), "wattle1:");
  EXPECT_EQ(verb, "login");
  EXPECT_EQ(token, "wattle1:***************************");
}

}  // namespace
}  // namespace wattle
