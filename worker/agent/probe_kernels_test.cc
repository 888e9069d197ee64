// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/probe_kernels.h"

#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/agent/testing/fake_runner_for_test.h"
#include "worker/child/runner_process.h"
#include "worker/sandbox/isolation.h"
#include "worker/sandbox/sandbox.h"

namespace wattle::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;

KernelProbe ProbeIn(const TestDirectory& directory) {
  return {.state_directory = directory.File("state"), .runner = kFakeRunner, .device = "cuda"};
}

TEST(ProbeKernelsTest, TheRunnerCompilesIntoAFolderOfTheState) {
  const TestDirectory directory;
  const KernelProbe probe = ProbeIn(directory);
  EXPECT_EQ(CompileKernels(probe).value(), "compiled 1 of 1 files of kernels in 0.1 s");
  EXPECT_EQ(ReadWholeFile(KernelDirectory(probe.state_directory) + "/00.kernel").value(), "code");
  EXPECT_EQ(KernelsCompiledAhead(probe.state_directory), KernelDirectory(probe.state_directory));
  EXPECT_EQ(KernelsCompiledAhead(directory.File("another")), "");
}

TEST(ProbeKernelsTest, TheReasonOfTheRunnerIsTold) {
  const TestDirectory directory;
  KernelProbe probe = ProbeIn(directory);
  probe.device = "cuda:7";
  EXPECT_THAT(CompileKernels(probe),
              StatusIs(absl::StatusCode::kFailedPrecondition, "NVRTC is not found"));
  probe.runner = "/no/such/runner";
  EXPECT_THAT(CompileKernels(probe), StatusIs(absl::StatusCode::kNotFound, HasSubstr("runner")));
}

// The sandbox of a job, as the agent makes it.
TEST(ProbeKernelsTest, AJobReadsTheKernelsAndCannotWriteThem) {
  if (sandbox::DetectIsolation(sandbox::Level::kFull).level < sandbox::Level::kFull) {
    GTEST_SKIP() << "this kernel holds no files back";
  }
  const TestDirectory directory;
  const KernelProbe probe = ProbeIn(directory);
  ASSERT_THAT(CompileKernels(probe), IsOk());
  const std::string kernels = KernelDirectory(probe.state_directory);
  v1::RunnerTask task;
  task.mutable_spec()->set_name("tell-kernels");
  task.mutable_spec()->mutable_finetune()->set_steps(1);
  task.set_work_directory(directory.File("work"));
  task.set_output_directory(task.work_directory());
  ASSERT_THAT(MakeDirectories(task.work_directory()), IsOk());
  auto sandbox = sandbox::Sandbox::Prepare({.level = sandbox::Level::kFull,
                                            .program = kFakeRunner,
                                            .readable = {kernels},
                                            .writable = {task.work_directory()}});
  ASSERT_THAT(sandbox, IsOk());
  std::vector<std::string> lines;
  absl::Notification done;
  child::RunnerCallbacks callbacks;
  callbacks.on_frame = [](const v1::RunnerFrame&) {};
  callbacks.on_line = [&](std::string line) { lines.push_back(std::move(line)); };
  callbacks.on_exit = [&](const child::RunnerExit&) { done.Notify(); };
  const auto process = child::RunnerProcess::Start(
      {.program = kFakeRunner, .sandbox = &*sandbox, .kernels = kernels}, task,
      std::move(callbacks));
  ASSERT_THAT(process, IsOk());
  done.WaitForNotification();
  EXPECT_THAT(lines, Contains("kernel code, not written"));
  EXPECT_EQ(ReadWholeFile(kernels + "/00.kernel").value(), "code");
}

}  // namespace
}  // namespace wattle::agent
