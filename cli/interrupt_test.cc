// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <initializer_list>

#include "cli/exit_code.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

// A command that no cancellation reaches: it waits in a system call. SIGALRM ends a test that
// would hang.
[[noreturn]] void HangAfter(absl::Duration patience, std::initializer_list<int> signals) {
  constexpr unsigned kTestSeconds = 60;
  alarm(kTestSeconds);
  Interrupt interrupt;
  const SignalThread thread(interrupt, patience);
  for (const int signal : signals) {
    kill(getpid(), signal);
  }
  while (true) {
    pause();
  }
}

class SignalThreadDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  static constexpr int kCode = static_cast<int>(ExitCode::kInterrupted);
};

TEST_F(SignalThreadDeathTest, OneSignalEndsACommandThatHangs) {
  EXPECT_EXIT(HangAfter(absl::Milliseconds(1), {SIGTERM}), testing::ExitedWithCode(kCode), "");
  EXPECT_EXIT(HangAfter(absl::Milliseconds(1), {SIGINT}), testing::ExitedWithCode(kCode), "");
}

TEST_F(SignalThreadDeathTest, TheSecondSignalEndsItAtOnce) {
  EXPECT_EXIT(HangAfter(absl::Hours(1), {SIGTERM, SIGINT}), testing::ExitedWithCode(kCode), "");
}

TEST(SignalThreadTest, EndsWithTheCommand) {
  Interrupt interrupt;
  { const SignalThread thread(interrupt); }
  EXPECT_FALSE(interrupt.raised());
}

}  // namespace
}  // namespace wattle::cli
