// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One wattle-runner as a child process. A crash, an out-of-memory kill or a CUDA fault ends the
// child, never the agent. The child dies with the thread that started it (PR_SET_PDEATHSIG), so
// start it from a thread that lives as long as the agent. No call waits for the child, except for
// its entry into its sandbox: bytes that the child does not read at once are kept and written
// later.
#ifndef WATTLE_WORKER_CHILD_RUNNER_PROCESS_H_
#define WATTLE_WORKER_CHILD_RUNNER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/line_limit.h"
#include "base/unique_descriptor.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/runner.pb.h"
#include "worker/child/frames/frames.h"
#include "worker/child/runner_exit.h"
#include "worker/sandbox/sandbox.h"

namespace wattle::child {

struct RunnerOptions {
  std::string program;  // path of wattle-runner
  int threads = 1;      // OMP_NUM_THREADS
  int nice = 0;         // added to the agent's own
  // Prepared for this program and this start. Null: none, only for tests.
  sandbox::Sandbox* sandbox = nullptr;
  std::string kernels = {};  // WATTLE_KERNEL_CACHE: a folder that its sandbox may read; empty: none
  int group = -1;  // the list of processes of its control group (runner_group.h); -1: the agent's
};

// Called in order on the thread that talks to the child; on_exit is the last call.
struct RunnerCallbacks {
  std::function<void(v1::RunnerFrame)> on_frame;
  std::function<void(std::string)> on_line;  // a line of standard error, limited by
                                             // base/line_limit.h
  std::function<void(RunnerExit)> on_exit;
};

// Our ends of the child's streams, closed with the object.
struct ChildStreams {
  UniqueDescriptor input;      // the child's standard input; writing to it does not block
  UniqueDescriptor output;     // its standard output: frames
  UniqueDescriptor error;      // its standard error: lines
  UniqueDescriptor wake;       // an eventfd: there is something to write
  sandbox::Refusals refusals;  // calls that its sandbox refuses
};

class RunnerProcess {
 public:
  // Starts the child and the thread that talks to it, and sends the task. Errors: kNotFound (no
  // such program), kPermissionDenied, kResourceExhausted (no process, no pipe), those of
  // sandbox::AwaitEntry.
  static absl::StatusOr<std::unique_ptr<RunnerProcess>> Start(const RunnerOptions& options,
                                                              const v1::RunnerTask& task,
                                                              RunnerCallbacks callbacks);
  // Kills the child if it still runs, and waits until it is gone.
  ~RunnerProcess();
  RunnerProcess(const RunnerProcess&) = delete;
  RunnerProcess& operator=(const RunnerProcess&) = delete;

  // A command for the child. Dropped if the child reads no more; its exit then follows.
  void Send(const v1::RunnerCommand& command);
  void Kill();  // SIGKILL; the exit follows
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  RunnerProcess(pid_t pid, ChildStreams streams, RunnerCallbacks callbacks);
  void Write(const std::string& frame);
  void TalkUntilExit();
  [[nodiscard]] bool HasOutgoing();
  bool WriteOutgoing();
  bool ReadFrames();
  void TakeRefusal();
  void ReadLines(absl::string_view bytes);
  void TellLine(const std::string& line);
  RunnerExit Reap();

  const pid_t pid_;
  const ChildStreams streams_;
  const RunnerCallbacks callbacks_;
  absl::Mutex mutex_;
  std::string outgoing_ ABSL_GUARDED_BY(mutex_);  // not yet taken by the child's standard input
  bool reaped_ ABSL_GUARDED_BY(mutex_) = false;   // the pid is no longer ours
  bool killed_by_us_ ABSL_GUARDED_BY(mutex_) = false;
  // Used only by the talking thread.
  FrameReader frames_;
  std::string line_;           // an incomplete line of standard error
  LineLimit lines_;            // prevents a flood to the agent, the link and the coordinator
  std::string broken_stream_;  // why it stopped reading frames
  std::string refused_call_;   // the forbidden call for which the child was killed
  std::thread talker_;
};

// Checks that the program can be run. Errors: kNotFound, kPermissionDenied.
absl::Status CheckRunnerProgram(const std::string& program);

// The one line that the program prints with --version, run in its sandbox. Errors: kNotFound,
// kDeadlineExceeded, kInternal.
absl::StatusOr<std::string> RunnerVersion(const RunnerOptions& options, absl::Duration timeout);

// Checks, before any job, that the runner can use the device ("cuda"), and returns the DeviceInfo
// fields of the device's memory, unset if the driver or an older runner does not report them.
// kFailedPrecondition: it cannot, with the reason; else the errors of RunnerVersion: the runner did
// not answer.
absl::StatusOr<v1::DeviceInfo> CheckRunnerDevice(const RunnerOptions& options,
                                                 const std::string& device, absl::Duration timeout);

// Runs the runner's self-test on the device. kFailedPrecondition: names the wrong result; else the
// errors of RunnerVersion.
absl::Status TestRunner(const RunnerOptions& options, const std::string& device,
                        absl::Duration timeout);

// Compiles the device's kernels into options.kernels, which the sandbox may write. Returns the
// runner's output. kFailedPrecondition: cannot compile, with the reason; else the errors of
// RunnerVersion.
absl::StatusOr<std::string> CompileRunnerKernels(const RunnerOptions& options,
                                                 const std::string& device, absl::Duration timeout);

// The device's rates as measured by the runner with options.threads. Errors: those of
// RunnerVersion.
absl::StatusOr<v1::MeasuredRates> MeasureRunnerRates(const RunnerOptions& options,
                                                     const std::string& device,
                                                     absl::Duration timeout);

// Classifies a wait status: exit code or signal. killed_by_us: the agent sent SIGKILL.
RunnerExit ClassifyExit(int wait_status, bool killed_by_us);

// The exit of a runner that made a call forbidden by its sandbox, such as "socket".
RunnerExit RefusedCallExit(const std::string& call);

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_RUNNER_PROCESS_H_
