// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One wattle-runner as a child process: started, fed, listened to, stopped. The child dies with the
// thread that started it (PR_SET_PDEATHSIG), so start it from one that lives as long as the agent.
// A crash, an out-of-memory kill or a CUDA fault ends the child, never the agent.
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
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "wattle/v1/job.pb.h"
#include "wattle/v1/runner.pb.h"

namespace wattle::child {

struct RunnerOptions {
  std::string program;  // path of wattle-runner
  int threads = 1;      // OMP_NUM_THREADS
  int nice = 0;         // added to the agent's own
};

// How the child ended. clean: it left with exit code 0 by itself; what that means its last frame
// says. Else the class of the failure, and one line.
struct RunnerExit {
  bool clean = false;
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string message;
};

// Called on the process's own reader thread, in order; on_exit is the last call.
struct RunnerCallbacks {
  std::function<void(v1::RunnerFrame)> on_frame;
  std::function<void(std::string)> on_line;  // of its standard error
  std::function<void(RunnerExit)> on_exit;
};

class RunnerProcess {
 public:
  // Starts the child and its reader thread and sends the task. Errors: kNotFound (no such program),
  // kPermissionDenied, kResourceExhausted (no process, no pipe).
  static absl::StatusOr<std::unique_ptr<RunnerProcess>> Start(const RunnerOptions& options,
                                                              const v1::RunnerTask& task,
                                                              RunnerCallbacks callbacks);
  // Kills the child if it still runs, and waits for the reader thread.
  ~RunnerProcess();
  RunnerProcess(const RunnerProcess&) = delete;
  RunnerProcess& operator=(const RunnerProcess&) = delete;

  // Writes a command. kUnavailable: the child reads no more; its exit will be told.
  absl::Status Send(const v1::RunnerCommand& command);
  void Kill();  // SIGKILL; its exit will be told
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  RunnerProcess(pid_t pid, int input, int output, int error, RunnerCallbacks callbacks);
  absl::Status Write(const std::string& frame);
  void ReadUntilExit();
  bool ReadFrames(class FrameReader& reader);
  RunnerExit Reap();

  const pid_t pid_;
  const int input_;   // the child's standard input
  const int output_;  // … output: frames
  const int error_;   // … error: lines
  const RunnerCallbacks callbacks_;
  absl::Mutex mutex_;
  bool reaped_ ABSL_GUARDED_BY(mutex_) = false;  // the pid is no longer ours
  bool killed_by_us_ ABSL_GUARDED_BY(mutex_) = false;
  std::string broken_stream_;  // of the reader thread: why it stopped reading frames
  std::thread reader_;
};

// What `program --version` prints, one line. Errors: kNotFound, kDeadlineExceeded, kInternal.
absl::StatusOr<std::string> RunnerVersion(const std::string& program, absl::Duration timeout);

// Of a wait status: exit code or signal. killed_by_us: the agent sent SIGKILL.
RunnerExit ClassifyExit(int wait_status, bool killed_by_us);

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_RUNNER_PROCESS_H_
