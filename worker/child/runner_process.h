// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One wattle-runner as a child process. A crash, an out-of-memory kill or a CUDA fault ends the
// child, never the agent. The child dies with the thread that started it (PR_SET_PDEATHSIG), so
// start it from a thread that lives as long as the agent. No call waits for the child, but for its
// entry into its box: what the child does not read at once is kept and written later.
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
#include "worker/box/box.h"
#include "worker/child/frames/frames.h"
#include "worker/child/runner_exit.h"

namespace wattle::child {

struct RunnerOptions {
  std::string program;  // path of wattle-runner
  int threads = 1;      // OMP_NUM_THREADS
  int nice = 0;         // added to the agent's own
  // Of this program and for this one start. Null: none, which only tests want.
  box::Box* box = nullptr;
  std::string kernels = {};  // WATTLE_KERNEL_CACHE: a folder that its box may read; empty: none
  int group = -1;  // the list of processes of its control group (runner_group.h); -1: the agent's
};

// Called in order on the thread that talks to the child; on_exit is the last call.
struct RunnerCallbacks {
  std::function<void(v1::RunnerFrame)> on_frame;
  std::function<void(std::string)> on_line;  // of its standard error, bounded by base/line_limit.h
  std::function<void(RunnerExit)> on_exit;
};

// Our ends of the child's streams, closed with the object.
struct ChildStreams {
  UniqueDescriptor input;   // the child's standard input; writing to it does not block
  UniqueDescriptor output;  // its standard output: frames
  UniqueDescriptor error;   // its standard error: lines
  UniqueDescriptor wake;    // an eventfd: there is something to write
  box::Refusals refusals;   // calls that its box refuses
};

class RunnerProcess {
 public:
  // Starts the child and the thread that talks to it, and sends the task. Errors: kNotFound (no
  // such program), kPermissionDenied, kResourceExhausted (no process, no pipe), those of
  // box::AwaitEntry.
  static absl::StatusOr<std::unique_ptr<RunnerProcess>> Start(const RunnerOptions& options,
                                                              const v1::RunnerTask& task,
                                                              RunnerCallbacks callbacks);
  // Kills the child if it still runs, and waits until it is gone.
  ~RunnerProcess();
  RunnerProcess(const RunnerProcess&) = delete;
  RunnerProcess& operator=(const RunnerProcess&) = delete;

  // A command for the child. Dropped where the child reads no more: then its exit follows.
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
  // Of the talking thread.
  FrameReader frames_;
  std::string line_;           // of standard error, not yet whole
  LineLimit lines_;            // nobody's runner floods the agent, the link and the coordinator
  std::string broken_stream_;  // why it stopped reading frames
  std::string refused_call_;   // of the child, for which it was killed
  std::thread talker_;
};

// Whether it can be run at all. Errors: kNotFound, kPermissionDenied.
absl::Status CheckRunnerProgram(const std::string& program);

// What the program prints with --version, one line, in its box. Errors: kNotFound,
// kDeadlineExceeded, kInternal.
absl::StatusOr<std::string> RunnerVersion(const RunnerOptions& options, absl::Duration timeout);

// Whether the runner can use the device ("cuda"), asked before any job comes, and what it tells of
// the device's memory: the fields of DeviceInfo for that, none where the driver or an older runner
// does not know. kFailedPrecondition: it cannot, and why; else the errors of RunnerVersion: the
// runner gave no answer.
absl::StatusOr<v1::DeviceInfo> CheckRunnerDevice(const RunnerOptions& options,
                                                 const std::string& device, absl::Duration timeout);

// Lets the runner test itself on the device. kFailedPrecondition: a result is wrong, and which;
// else the errors of RunnerVersion.
absl::Status TestRunner(const RunnerOptions& options, const std::string& device,
                        absl::Duration timeout);

// Compiles the device's kernels into options.kernels, which the box may write. What it says of
// that. kFailedPrecondition: it cannot, and why; else the errors of RunnerVersion.
absl::StatusOr<std::string> CompileRunnerKernels(const RunnerOptions& options,
                                                 const std::string& device, absl::Duration timeout);

// What the runner measures of the device with options.threads. Errors: those of RunnerVersion.
absl::StatusOr<v1::MeasuredRates> MeasureRunnerRates(const RunnerOptions& options,
                                                     const std::string& device,
                                                     absl::Duration timeout);

// Of a wait status: exit code or signal. killed_by_us: the agent sent SIGKILL.
RunnerExit ClassifyExit(int wait_status, bool killed_by_us);

// Of a runner that called what its box refuses, such as "socket".
RunnerExit RefusedCallExit(const std::string& call);

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_RUNNER_PROCESS_H_
