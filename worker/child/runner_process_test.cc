// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/child/runner_process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/sandbox/sandbox.h"

namespace wattle::child {
namespace {

using testing::HasSubstr;

const char kHostileRunner[] = WATTLE_BINARY_DIR "/bin/wattle_hostile_runner";
const char kFakeRunner[] = WATTLE_BINARY_DIR "/bin/wattle_fake_runner";

struct Listener {
  absl::Mutex mutex;
  std::vector<v1::RunnerFrame> frames;
  std::vector<std::string> lines;
  RunnerExit exit;
  absl::Notification done;

  RunnerCallbacks Callbacks() {
    return {.on_frame =
                [this](v1::RunnerFrame frame) {
                  absl::MutexLock lock(&mutex);
                  frames.push_back(std::move(frame));
                },
            .on_line =
                [this](std::string line) {
                  absl::MutexLock lock(&mutex);
                  lines.push_back(std::move(line));
                },
            .on_exit =
                [this](RunnerExit e) {
                  exit = std::move(e);
                  done.Notify();
                }};
  }
  // Waits until `count` steps were reported.
  void AwaitSteps(int count) {
    absl::MutexLock lock(&mutex);
    auto reached = [&]() {
      int steps = 0;
      for (const auto& frame : frames) {
        steps += frame.has_step() ? 1 : 0;
      }
      return steps >= count;
    };
    ASSERT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&reached), absl::Seconds(30)));
  }
};

class RunnerProcessTest : public testing::Test {
 protected:
  [[nodiscard]] v1::RunnerTask Task(const std::string& trouble) const {
    v1::RunnerTask task;
    task.set_attempt_id("j1.1");
    task.mutable_spec()->set_name(trouble);
    task.set_work_directory(directory_.path());
    task.set_output_directory(directory_.File("output"));
    return task;
  }

 private:
  TestDirectory directory_;
};

TEST_F(RunnerProcessTest, ACleanRunTellsItsFramesLinesAndEnd) {
  Listener listener;
  const auto process =
      RunnerProcess::Start({.program = kFakeRunner}, Task(""), listener.Callbacks());
  ASSERT_THAT(process, IsOk());
  ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_TRUE(listener.exit.clean) << listener.exit.message;
  EXPECT_TRUE(listener.frames.back().has_result());
  EXPECT_THAT(listener.lines, testing::ElementsAre("fake runner for j1.1"));
}

// 40 MB of lines: the forwarded lines are limited, and the number of dropped ones is reported.
TEST_F(RunnerProcessTest, AFloodOfLinesIsCounted) {
  Listener listener;
  const auto process =
      RunnerProcess::Start({.program = kFakeRunner}, Task("flood"), listener.Callbacks());
  ASSERT_THAT(process, IsOk());
  ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(120)));
  EXPECT_TRUE(listener.exit.clean) << listener.exit.message;
  EXPECT_TRUE(listener.frames.back().has_result());
  EXPECT_LT(listener.lines.size(), 200U) << "20 a minute";
  EXPECT_THAT(listener.lines.back(), HasSubstr("more lines of this kind were left out"));
}

TEST_F(RunnerProcessTest, AFrameWithoutAnEndIsTheJobsFault) {
  Listener listener;
  const auto process =
      RunnerProcess::Start({.program = kFakeRunner}, Task("oversize"), listener.Callbacks());
  ASSERT_THAT(process, IsOk());
  ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(120)));
  EXPECT_EQ(listener.exit.failure_class, v1::FAILURE_CLASS_JOB);
  EXPECT_THAT(listener.exit.message, HasSubstr("a frame of more than 1 MiB"));
}

TEST_F(RunnerProcessTest, AMachineWithoutMemoryLosesTheRunnerFirst) {
  Listener listener;
  const auto process =
      RunnerProcess::Start({.program = kFakeRunner}, Task("tell-score"), listener.Callbacks());
  ASSERT_THAT(process, IsOk());
  ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_THAT(listener.lines, testing::Contains("out-of-memory score 500"));
}

TEST_F(RunnerProcessTest, AGatedRunWaitsAndStopsWhenAsked) {
  Listener listener;
  v1::RunnerTask task = Task("");
  task.set_gated(true);
  const auto process = RunnerProcess::Start({.program = kFakeRunner}, task, listener.Callbacks());
  ASSERT_THAT(process, IsOk());
  listener.AwaitSteps(1);
  v1::RunnerCommand command;
  command.mutable_continue_step();
  (*process)->Send(command);
  listener.AwaitSteps(2);
  command.mutable_stop();
  (*process)->Send(command);
  ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_TRUE(listener.exit.clean);
  EXPECT_EQ(listener.frames.back().stopped().step(), 2);
}

TEST_F(RunnerProcessTest, AnUnexpectedKillIsTheDevicesFailureAnAbortTheJobs) {
  for (const auto& [trouble, expected] : {std::pair("crash-at:1", v1::FAILURE_CLASS_DEVICE),
                                          std::pair("abort-at:1", v1::FAILURE_CLASS_JOB),
                                          std::pair("garbage", v1::FAILURE_CLASS_JOB)}) {
    Listener listener;
    const auto process =
        RunnerProcess::Start({.program = kFakeRunner}, Task(trouble), listener.Callbacks());
    ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(30)));
    EXPECT_FALSE(listener.exit.clean) << trouble;
    EXPECT_EQ(listener.exit.failure_class, expected) << trouble << listener.exit.message;
  }
}

TEST_F(RunnerProcessTest, TheDestructorKillsARunnerThatHangs) {
  Listener listener;
  {
    const auto process =
        RunnerProcess::Start({.program = kFakeRunner}, Task("hang"), listener.Callbacks());
    ASSERT_THAT(process, IsOk());
  }
  ASSERT_TRUE(listener.done.HasBeenNotified());
  EXPECT_THAT(listener.exit.message, HasSubstr("stopped by the agent"));
}

// A pipe takes 64 KiB: the rest of a task with inline prompts is written when the child reads.
TEST_F(RunnerProcessTest, StartingARunnerThatDoesNotReadBlocksNobody) {
  const TestDirectory directory;
  const std::string sleeper = directory.Write("sleeper", "#!/bin/sh\nexec sleep 600\n");
  ASSERT_EQ(chmod(sleeper.c_str(), 0755), 0);
  Listener listener;
  v1::RunnerTask task = Task("");
  for (int i = 0; i < 100; ++i) {
    task.mutable_spec()->mutable_generate()->add_prompts(std::string(10'000, 'x'));
  }
  // With a write that blocks this line does not return.
  const auto process = RunnerProcess::Start({.program = sleeper}, task, listener.Callbacks());
  ASSERT_THAT(process, IsOk());
  (*process)->Kill();
  ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST_F(RunnerProcessTest, ALargeTaskArrivesWhole) {
  Listener listener;
  v1::RunnerTask task = Task("");
  task.mutable_spec()->set_owner(std::string(1'000'000, 'x'));
  const auto process = RunnerProcess::Start({.program = kFakeRunner}, task, listener.Callbacks());
  ASSERT_THAT(process, IsOk());
  ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_TRUE(listener.exit.clean) << listener.exit.message;
}

int OpenDescriptors() {
  int count = 0;
  for (int descriptor = 0; descriptor < 256; ++descriptor) {
    count += fcntl(descriptor, F_GETFD) >= 0 ? 1 : 0;
  }
  return count;
}

// The limit under which exactly `spare` more descriptors can be opened.
rlim_t LimitWithSpare(int spare) {
  int number = 0;
  for (; spare > 0; ++number) {
    spare -= fcntl(number, F_GETFD) < 0 ? 1 : 0;
  }
  return static_cast<rlim_t>(number);
}

TEST_F(RunnerProcessTest, WithoutDescriptorsNothingStartsAndNothingLeaks) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's own checks need descriptors";
#endif
  const int before = OpenDescriptors();
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  // Enough for one, two or three pipes, but never for all descriptors of a runner.
  for (int spare = 1; spare < 7; ++spare) {
    const rlimit small = {.rlim_cur = LimitWithSpare(spare), .rlim_max = limit.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
    Listener listener;
    const auto process =
        RunnerProcess::Start({.program = kFakeRunner}, Task(""), listener.Callbacks());
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_THAT(process, StatusIs(absl::StatusCode::kResourceExhausted, testing::_)) << spare;
    EXPECT_EQ(OpenDescriptors(), before) << spare;
  }
}

TEST_F(RunnerProcessTest, AMissingProgramNamesTheRemedy) {
  EXPECT_THAT(RunnerProcess::Start({.program = "/no/such/runner"}, Task(""), {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("--runner")));
}

// Its name is the attack that the program tries.
TEST_F(RunnerProcessTest, ARefusedCallIsTheJobsFaultAndNamed) {
  if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
    GTEST_SKIP() << "wants isolation seccomp, which this kernel does not give";
  }
  const TestDirectory directory;
  const std::string program = directory.File("socket");
  ASSERT_EQ(symlink(kHostileRunner, program.c_str()), 0);
  Listener free;
  const auto unboxed = RunnerProcess::Start({.program = program}, Task(""), free.Callbacks());
  ASSERT_THAT(unboxed, IsOk());
  ASSERT_TRUE(free.done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_TRUE(free.exit.clean) << "without the sandbox it gets its socket";

  auto sandbox = sandbox::Sandbox::Prepare({.level = sandbox::Level::kSeccomp, .program = program});
  ASSERT_THAT(sandbox, IsOk());
  Listener listener;
  const auto process = RunnerProcess::Start({.program = program, .sandbox = &*sandbox}, Task(""),
                                            listener.Callbacks());
  ASSERT_THAT(process, IsOk());
  ASSERT_TRUE(listener.done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_EQ(listener.exit.failure_class, v1::FAILURE_CLASS_JOB);
  EXPECT_THAT(listener.exit.message, HasSubstr("the system call socket,"));
}

TEST(ClassifyExitTest, ACallThatTheKernelCouldNotTellIsTheJobsFaultToo) {
  const RunnerExit exit = ClassifyExit(SIGSYS, /*killed_by_us=*/false);
  EXPECT_EQ(exit.failure_class, v1::FAILURE_CLASS_JOB);
  EXPECT_THAT(exit.message, HasSubstr("a system call that is not known"));
}

TEST(ClassifyExitTest, ACrashIsTheJobsFaultAndSaysThatItIsOne) {
  for (const int signal_number : {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGKILL, SIGTERM}) {
    const bool crashed = signal_number == SIGSEGV || signal_number == SIGABRT;
    const RunnerExit exit = ClassifyExit(signal_number, /*killed_by_us=*/false);
    EXPECT_EQ(exit.crashed, crashed) << signal_number;
    EXPECT_TRUE(!crashed || exit.failure_class == v1::FAILURE_CLASS_JOB) << signal_number;
  }
}

// The agent is killed: its runner goes too.
TEST_F(RunnerProcessTest, TheRunnerDiesWithItsAgent) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t agent = fork();
  if (agent == 0) {
    Listener listener;
    const auto process =
        RunnerProcess::Start({.program = kFakeRunner}, Task("hang"), listener.Callbacks());
    const pid_t runner = (*process)->pid();
    (void)!write(ends[1], &runner, sizeof(runner));
    pause();
    _exit(0);
  }
  pid_t runner = 0;
  ASSERT_EQ(read(ends[0], &runner, sizeof(runner)), static_cast<ssize_t>(sizeof(runner)));
  ASSERT_EQ(kill(runner, 0), 0);
  kill(agent, SIGKILL);
  waitpid(agent, nullptr, 0);
  // The kernel delivers the signal as the agent dies; init reaps the runner a moment later.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  auto gone = [&] {
    FILE* status = fopen(("/proc/" + std::to_string(runner) + "/stat").c_str(), "r");
    char state = 'X';
    if (status != nullptr) {
      (void)!fscanf(status, "%*d %*s %c", &state);
      fclose(status);
    }
    return state == 'X' || state == 'Z';
  };
  while (!gone()) {
    ASSERT_LT(absl::Now(), deadline);
    sched_yield();
  }
}

TEST(RunnerVersionTest, IsTheFirstLine) {
  EXPECT_EQ(*RunnerVersion({.program = kFakeRunner}, absl::Seconds(30)), "fake-1");
  EXPECT_THAT(RunnerVersion({.program = "/bin/false"}, absl::Seconds(30)),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("exit code 1")));
}

TEST(CheckRunnerDeviceTest, TheRunnerSaysWhyNot) {
  EXPECT_THAT(CheckRunnerDevice({.program = kFakeRunner}, "cpu", absl::Seconds(30)), IsOk());
  EXPECT_THAT(CheckRunnerDevice({.program = kFakeRunner}, "cuda", absl::Seconds(30)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no such device")));
  EXPECT_THAT(CheckRunnerDevice({.program = "/bin/false"}, "cuda", absl::Seconds(30)),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("--check-device")))
      << "no answer is not an answer";
}

TEST(CheckRunnerDeviceTest, TheRunnerTellsTheMemoryOfAGpu) {
  const auto card = CheckRunnerDevice({.program = kFakeRunner}, "cuda:0", absl::Seconds(30));
  ASSERT_THAT(card, IsOk());
  EXPECT_EQ(card->accelerator_total_bytes(), int64_t{24} << 30);
  EXPECT_FALSE(card->accelerator_shares_memory());
  const auto untold = CheckRunnerDevice({.program = kFakeRunner}, "cpu", absl::Seconds(30));
  ASSERT_THAT(untold, IsOk());
  EXPECT_EQ(untold->accelerator_total_bytes(), 0) << "as by an older runner";
}

TEST(MeasureRunnerRatesTest, TheRunnerTellsThemAsALineOfJson) {
  const auto rates =
      MeasureRunnerRates({.program = kFakeRunner, .threads = 2}, "cpu", absl::Seconds(30));
  ASSERT_THAT(rates, IsOk());
  EXPECT_EQ(rates->memory_bytes_per_second(), 1e10);
  EXPECT_EQ(rates->engine_version(), "fake-1");
  EXPECT_THAT(MeasureRunnerRates({.program = kFakeRunner}, "cuda", absl::Seconds(30)),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("--measure-rates")));
  EXPECT_THAT(MeasureRunnerRates({.program = "/bin/echo"}, "cpu", absl::Seconds(30)),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("another version")));
}

}  // namespace
}  // namespace wattle::child
