// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-box-load start COUNT: starts a small program COUNT times at each level in turn, and prints
// the median milliseconds until it has ended.
// wattle-box-load steps RUNNER TASK LEVEL: runs the task (protobuf's text format) and prints the
// median seconds of a step. bench/security.py reads both.
// wattle-box-load trace RUNNER LEVEL [READABLE...]: asks the runner in a sandbox for CUDA whether
// it can use the GPU. A call that the sandbox refuses fails with EPERM and is named, instead of
// ending the runner; the folders can also be read. bench/gpu_exam.py uses this to find the calls
// that a new driver needs.
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/text_format.h"

#include "base/file.h"
#include "worker/child/runner_process.h"
#include "worker/sandbox/sandbox.h"

namespace {

using wattle::sandbox::Level;
using wattle::sandbox::LevelName;
using wattle::sandbox::Sandbox;

constexpr char kSmallProgram[] = "/bin/echo";
// Pause between two starts. The kernel takes tens of milliseconds to remove the network namespace
// of an ended program, and the next start waits for that; a worker's starts are further apart.
constexpr absl::Duration kPause = absl::Milliseconds(100);

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "wattle-box-load: %s\n", std::string(status.message()).c_str());
  return 1;
}

int Starts(int count) {
  std::map<Level, std::vector<double>> milliseconds;
  for (int i = 0; i < count; ++i) {
    for (const Level level : {Level::kNone, Level::kSeccomp, Level::kFull}) {
      absl::SleepFor(kPause);
      const absl::Time begin = absl::Now();
      absl::StatusOr<Sandbox> sandbox =
          Sandbox::Prepare({.level = level, .program = kSmallProgram});
      if (!sandbox.ok()) {
        return Fail(sandbox.status());
      }
      const auto line = wattle::child::RunnerVersion(
          {.program = kSmallProgram, .sandbox = &*sandbox}, absl::Seconds(30));
      if (!line.ok()) {
        return Fail(line.status());
      }
      milliseconds[level].push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
    }
  }
  for (const auto& [level, values] : milliseconds) {
    std::printf("%s=%.4f\n", std::string(LevelName(level)).c_str(), Median(values));
  }
  return 0;
}

int Steps(const std::string& runner, const std::string& task_file, Level level) {
  wattle::v1::RunnerTask task;
  const auto text = wattle::ReadWholeFile(task_file);
  if (!text.ok() || !google::protobuf::TextFormat::ParseFromString(*text, &task)) {
    return Fail(absl::InvalidArgumentError(task_file + ": no task"));
  }
  std::vector<std::string> readable = {task.model_directory()};
  if (!task.data_file().empty()) {
    readable.push_back(task.data_file());
  }
  absl::StatusOr<Sandbox> sandbox =
      Sandbox::Prepare({.level = level,
                        .program = runner,
                        .readable = readable,
                        .writable = {task.work_directory(), task.output_directory()},
                        .cuda = task.device() == "cuda"});
  if (!sandbox.ok()) {
    return Fail(sandbox.status());
  }
  std::vector<double> seconds;
  std::string ended;
  absl::Notification done;
  wattle::child::RunnerCallbacks callbacks;
  callbacks.on_frame = [&](const wattle::v1::RunnerFrame& frame) {
    if (frame.has_step()) {
      seconds.push_back(frame.step().compute_seconds());
    }
    if (frame.has_failure()) {
      ended = frame.failure().message();
    }
  };
  callbacks.on_line = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  callbacks.on_exit = [&](const wattle::child::RunnerExit& exit) {
    ended += exit.message;
    done.Notify();
  };
  const auto process = wattle::child::RunnerProcess::Start(
      {.program = runner, .threads = task.threads(), .sandbox = &*sandbox}, task,
      std::move(callbacks));
  if (!process.ok()) {
    return Fail(process.status());
  }
  done.WaitForNotification();
  if (!ended.empty() || seconds.empty()) {
    return Fail(absl::InternalError(ended));
  }
  std::printf("step_seconds=%.6f\n", Median(seconds));
  return 0;
}

// Names the calls that the sandbox refuses, until the child has ended.
void NameRefusals(const wattle::sandbox::Refusals& refusals) {
  pollfd told = {refusals.descriptor(), POLLIN, 0};
  while (told.fd >= 0 && poll(&told, 1, -1) > 0 && (told.revents & POLLIN) != 0) {
    std::printf("refused: %s\n", refusals.TakeAndRefuse().c_str());
  }
}

int Trace(std::string runner, Level level, std::vector<std::string> readable) {
  absl::StatusOr<Sandbox> sandbox = Sandbox::Prepare(
      {.level = level, .program = runner, .readable = std::move(readable), .cuda = true});
  if (!sandbox.ok()) {
    return Fail(sandbox.status());
  }
  std::array<int, 2> ends = {};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Fail(absl::InternalError("socketpair"));
  }
  std::string flag = "--check-device";
  std::string device = "cuda";
  std::array<char*, 4> arguments = {runner.data(), flag.data(), device.data(), nullptr};
  const pid_t child = fork();
  if (child == 0) {
    sandbox->Enter(ends[1]);
    execve(sandbox->program(), arguments.data(), environ);
    _exit(127);
  }
  close(ends[1]);
  const absl::StatusOr<wattle::sandbox::Refusals> refusals = wattle::sandbox::AwaitEntry(ends[0]);
  if (refusals.ok()) {
    NameRefusals(*refusals);
  }
  int status = 0;
  waitpid(child, &status, 0);
  close(ends[0]);
  return refusals.ok() ? WEXITSTATUS(status) : Fail(refusals.status());
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  int count = 0;
  if (command == "start" && argc == 3 && absl::SimpleAtoi(argv[2], &count) && count > 0) {
    return Starts(count);
  }
  const auto traced = argc >= 4 ? wattle::sandbox::ParseLevel(argv[3]) : std::nullopt;
  if (command == "trace" && traced.has_value()) {
    return Trace(argv[2], *traced, {argv + 4, argv + argc});
  }
  const auto level = argc == 5 ? wattle::sandbox::ParseLevel(argv[4]) : std::nullopt;
  if (command == "steps" && level.has_value()) {
    return Steps(argv[2], argv[3], *level);
  }
  std::fprintf(stderr,
               "usage: wattle-box-load start COUNT | steps RUNNER TASK LEVEL | "
               "trace RUNNER LEVEL [READABLE...]\n");
  return 2;
}
