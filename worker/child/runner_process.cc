// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/child/runner_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/util/json_util.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "worker/sandbox/environment.h"
#include "worker/sandbox/sandboxed_program.h"

extern char** environ;

namespace wattle::child {
namespace {

// A line of the runner's standard error is cut here; it is shown to people.
constexpr size_t kLineMax = 2000;
// Limit of a frame from the runner. The longest real one is a result with its recipe, of some
// kilobytes.
constexpr size_t kFrameUpMax = size_t{1} << 20;

// The allowed part of the agent's environment, with settings for libtorch. A passive wait policy,
// because spinning OpenMP threads starve each other on a busy machine.
std::vector<std::string> ChildEnvironment(const RunnerOptions& options) {
  std::vector<std::string> environment = sandbox::CleanEnvironment(environ);
  environment.emplace_back("OMP_WAIT_POLICY=passive");
  environment.push_back(absl::StrCat("OMP_NUM_THREADS=", options.threads));
  if (!options.kernels.empty()) {
    environment.push_back(absl::StrCat("WATTLE_KERNEL_CACHE=", options.kernels));
  }
  return environment;
}

struct Spawned {
  pid_t pid = -1;
  ChildStreams streams;
};

absl::StatusOr<Spawned> Spawn(const RunnerOptions& options, std::vector<std::string> arguments) {
  WATTLE_RETURN_IF_ERROR(CheckRunnerProgram(options.program));
  UniqueDescriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake.get() < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("eventfd: ", std::generic_category().message(errno)));
  }
  WATTLE_ASSIGN_OR_RETURN(sandbox::SandboxedProgram child,
                          sandbox::StartSandboxed({.path = options.program,
                                                   .arguments = std::move(arguments),
                                                   .environment = ChildEnvironment(options),
                                                   .nice = options.nice,
                                                   .group = options.group},
                                                  options.sandbox));
  return Spawned{child.pid,
                 {std::move(child.input), std::move(child.output), std::move(child.error),
                  std::move(wake), std::move(child.refusals)}};
}

const char* SignalMeaning(int signal_number) {
  switch (signal_number) {
    case SIGKILL:
      return "killed (SIGKILL), most likely for want of memory";
    case SIGSEGV:
      return "crashed (SIGSEGV)";
    case SIGABRT:
      return "aborted (SIGABRT)";
    case SIGBUS:
      return "crashed (SIGBUS): a file it had mapped was cut short or could not be read";
    case SIGILL:
      return "crashed (SIGILL): built for another processor";
    case SIGSYS:
      return "stopped by its sandbox at a system call that is not known (SIGSYS)";
    default:
      return "ended by a signal";
  }
}

}  // namespace

absl::Status CheckRunnerProgram(const std::string& program) {
  if (access(program.c_str(), X_OK) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  const std::string message =
      absl::StrCat(program, ": ", std::generic_category().message(error),
                   "; build wattle-runner beside the worker or name it with --runner");
  return error == EACCES ? absl::PermissionDeniedError(message) : absl::NotFoundError(message);
}

RunnerExit ClassifyExit(int wait_status, bool killed_by_us) {
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
    return {.clean = true, .failure_class = {}, .message = {}};
  }
  if (WIFSIGNALED(wait_status)) {
    const int number = WTERMSIG(wait_status);
    if (killed_by_us && number == SIGKILL) {
      return {.failure_class = v1::FAILURE_CLASS_DEVICE, .message = "runner: stopped by the agent"};
    }
    const bool device = number == SIGKILL || number == SIGBUS || number == SIGILL;
    return {.failure_class = device ? v1::FAILURE_CLASS_DEVICE : v1::FAILURE_CLASS_JOB,
            .message = absl::StrCat("runner: ", SignalMeaning(number), ", signal ", number),
            .crashed = number == SIGSEGV || number == SIGABRT};
  }
  const int code = WEXITSTATUS(wait_status);
  if (code == sandbox::kExecFailed) {
    return {.failure_class = v1::FAILURE_CLASS_DEVICE,
            .message = "runner: could not be started (exit code 127); is libtorch installed?"};
  }
  return {.failure_class = v1::FAILURE_CLASS_JOB,
          .message = absl::StrCat("runner: left with exit code ", code)};
}

RunnerExit RefusedCallExit(const std::string& call) {
  return {.failure_class = v1::FAILURE_CLASS_JOB,
          .message = absl::StrCat(
              "runner: stopped by its sandbox at the system call ", call,
              ", which no job needs; do not trust the job's model and data, or report the call")};
}

absl::StatusOr<std::unique_ptr<RunnerProcess>> RunnerProcess::Start(const RunnerOptions& options,
                                                                    const v1::RunnerTask& task,
                                                                    RunnerCallbacks callbacks) {
  WATTLE_ASSIGN_OR_RETURN(Spawned child, Spawn(options, {options.program}));
  std::unique_ptr<RunnerProcess> process(
      new RunnerProcess(child.pid, std::move(child.streams), std::move(callbacks)));
  process->Write(EncodeFrame(task.SerializeAsString()));
  return process;
}

RunnerProcess::RunnerProcess(pid_t pid, ChildStreams streams, RunnerCallbacks callbacks)
    : pid_(pid), streams_(std::move(streams)), callbacks_(std::move(callbacks)) {
  talker_ = std::thread([this] { TalkUntilExit(); });
}

RunnerProcess::~RunnerProcess() {
  Kill();
  talker_.join();
}

// The talking thread writes the frame, so a child that does not read blocks no caller.
void RunnerProcess::Write(const std::string& frame) {
  {
    absl::MutexLock lock(&mutex_);
    outgoing_ += frame;
  }
  // If the eventfd is full, the thread is already awake.
  const uint64_t one = 1;
  (void)!write(streams_.wake.get(), &one, sizeof(one));
}

void RunnerProcess::Send(const v1::RunnerCommand& command) {
  Write(EncodeFrame(command.SerializeAsString()));
}

void RunnerProcess::Kill() {
  absl::MutexLock lock(&mutex_);
  if (!reaped_) {
    killed_by_us_ = true;
    kill(pid_, SIGKILL);
  }
}

bool RunnerProcess::HasOutgoing() {
  absl::MutexLock lock(&mutex_);
  return !outgoing_.empty();
}

// Writes as much as the pipe accepts; false once the child reads no more.
bool RunnerProcess::WriteOutgoing() {
  absl::MutexLock lock(&mutex_);
  while (!outgoing_.empty()) {
    const ssize_t size = write(streams_.input.get(), outgoing_.data(), outgoing_.size());
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0) {
      return errno == EAGAIN;
    }
    outgoing_.erase(0, static_cast<size_t>(size));
  }
  return true;
}

// Passes on every whole frame; false once the stream is broken.
bool RunnerProcess::ReadFrames() {
  while (true) {
    absl::StatusOr<std::optional<std::string>> message = frames_.Next();
    if (!message.ok()) {
      broken_stream_ = absl::StrCat("runner: ", message.status().message());
      return false;
    }
    if (frames_.buffered() > kFrameUpMax ||
        (message->has_value() && (*message)->size() > kFrameUpMax)) {
      broken_stream_ = absl::StrCat("runner: a frame of more than ", kFrameUpMax >> 20,
                                    " MiB; do not trust the job's model and data");
      return false;
    }
    if (!message->has_value()) {
      return true;
    }
    v1::RunnerFrame frame;
    if (!frame.ParseFromString(**message)) {
      broken_stream_ = "runner: a frame that is no RunnerFrame";
      return false;
    }
    callbacks_.on_frame(std::move(frame));
  }
}

void RunnerProcess::ReadLines(absl::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n') {
      TellLine(std::exchange(line_, ""));
    } else if (line_.size() < kLineMax) {
      line_.push_back(c);
    }
  }
}

void RunnerProcess::TellLine(const std::string& line) {
  for (const std::string& told : lines_.Take(line, Clock::Real().Boottime())) {
    callbacks_.on_line(told);
  }
}

// The call waits until the child is gone, so it is never carried out.
void RunnerProcess::TakeRefusal() {
  const std::string call = streams_.refusals.Take();
  {
    absl::MutexLock lock(&mutex_);
    kill(pid_, SIGKILL);
  }
  if (refused_call_.empty()) {
    refused_call_ = call;
  }
}

// Reads until both of the child's streams have ended, and writes meanwhile.
void RunnerProcess::TalkUntilExit() {
  // A write to a child that has ended returns EPIPE; the signal must not end this process.
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
  std::array<char, 1 << 16> buffer = {};
  pollfd output = {streams_.output.get(), POLLIN, 0};
  pollfd error = {streams_.error.get(), POLLIN, 0};
  pollfd wake = {streams_.wake.get(), POLLIN, 0};
  int refusals = streams_.refusals.descriptor();
  bool input_open = true;
  while (output.fd >= 0 || error.fd >= 0) {
    const int input = input_open && HasOutgoing() ? streams_.input.get() : -1;
    std::array<pollfd, 5> streams = {output, error, wake, pollfd{input, POLLOUT, 0},
                                     pollfd{refusals, POLLIN, 0}};
    if (poll(streams.data(), streams.size(), -1) < 0) {
      if (errno == EINTR) {
        continue;
      }
      break;
    }
    if ((streams[4].revents & POLLIN) != 0) {
      TakeRefusal();
    } else if (streams[4].revents != 0) {
      refusals = -1;  // the child is gone
    }
    if (streams[2].revents != 0) {
      uint64_t count = 0;
      (void)!read(wake.fd, &count, sizeof(count));  // only clears the wake-up
    }
    if (streams[3].revents != 0) {
      input_open = WriteOutgoing();
    }
    for (pollfd* stream : {&output, &error}) {
      const int events = stream == &output ? streams[0].revents : streams[1].revents;
      if (stream->fd < 0 || events == 0) {
        continue;
      }
      const ssize_t size = read(stream->fd, buffer.data(), buffer.size());
      if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
        continue;
      }
      if (size <= 0) {
        stream->fd = -1;
        continue;
      }
      const absl::string_view bytes(buffer.data(), static_cast<size_t>(size));
      if (stream == &error) {
        ReadLines(bytes);
        continue;
      }
      frames_.Append(bytes);
      if (!ReadFrames()) {
        Kill();
        stream->fd = -1;
      }
    }
  }
  if (!line_.empty()) {
    TellLine(std::exchange(line_, ""));
  }
  for (const std::string& count : lines_.TakeRest()) {
    callbacks_.on_line(count);
  }
  callbacks_.on_exit(Reap());
}

RunnerExit RunnerProcess::Reap() {
  // Wait without reaping, so that Kill() never signals a process id that is no longer ours.
  siginfo_t info = {};
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  absl::MutexLock lock(&mutex_);
  int status = 0;
  waitpid(pid_, &status, 0);
  reaped_ = true;
  if (!refused_call_.empty()) {
    return RefusedCallExit(refused_call_);
  }
  if (!broken_stream_.empty()) {
    return {.failure_class = v1::FAILURE_CLASS_JOB, .message = broken_stream_};
  }
  return ClassifyExit(status, killed_by_us_);
}

namespace {

// The lines that the program prints when started with the flag (and its value); at least one.
absl::StatusOr<std::vector<std::string>> LinesOf(const RunnerOptions& options,
                                                 const std::vector<std::string>& flag,
                                                 absl::Duration timeout) {
  const std::string& program = options.program;
  std::vector<std::string> command = {program};
  command.insert(command.end(), flag.begin(), flag.end());
  WATTLE_ASSIGN_OR_RETURN(const Spawned child, Spawn(options, command));
  std::string text;
  std::array<char, 512> buffer = {};
  const Monotonic deadline = Clock::Real().Boottime() + timeout;
  absl::Status status = absl::OkStatus();
  while (true) {
    std::array<pollfd, 2> streams = {pollfd{child.streams.output.get(), POLLIN, 0},
                                     pollfd{child.streams.refusals.descriptor(), POLLIN, 0}};
    const int64_t left = absl::ToInt64Milliseconds(deadline - Clock::Real().Boottime());
    const int ready = left > 0 ? poll(streams.data(), streams.size(), static_cast<int>(left)) : 0;
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready == 0) {
      kill(child.pid, SIGKILL);
      status = absl::DeadlineExceededError(absl::StrCat(program, " ", flag.front(), ": no answer"));
      break;
    }
    if ((streams[1].revents & POLLIN) != 0) {
      const std::string call = child.streams.refusals.Take();
      kill(child.pid, SIGKILL);
      status = absl::InternalError(
          absl::StrCat(program, " ", flag.front(), ": ", RefusedCallExit(call).message));
      break;
    }
    const ssize_t size = read(child.streams.output.get(), buffer.data(), buffer.size());
    if (size <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<size_t>(size));
  }
  int wait_status = 0;
  waitpid(child.pid, &wait_status, 0);
  WATTLE_RETURN_IF_ERROR(status);
  if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0 || !absl::StrContains(text, '\n')) {
    return absl::InternalError(
        absl::StrCat(program, " ", flag.front(), ": ", ClassifyExit(wait_status, false).message));
  }
  return absl::StrSplit(text, '\n');
}

absl::StatusOr<std::string> FirstLineOf(const RunnerOptions& options,
                                        const std::vector<std::string>& flag,
                                        absl::Duration timeout) {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<std::string> lines, LinesOf(options, flag, timeout));
  return lines.front();
}

}  // namespace

absl::StatusOr<std::string> RunnerVersion(const RunnerOptions& options, absl::Duration timeout) {
  return FirstLineOf(options, {"--version"}, timeout);
}

absl::StatusOr<v1::DeviceInfo> CheckRunnerDevice(const RunnerOptions& options,
                                                 const std::string& device,
                                                 absl::Duration timeout) {
  WATTLE_ASSIGN_OR_RETURN(const std::vector<std::string> lines,
                          LinesOf(options, {"--check-device", device}, timeout));
  if (lines.front() != "ok") {
    return absl::FailedPreconditionError(lines.front());
  }
  v1::DeviceInfo told;
  v1::DeviceInfo memory;
  google::protobuf::util::JsonParseOptions of_a_newer_runner;
  of_a_newer_runner.ignore_unknown_fields = true;
  if (google::protobuf::util::JsonStringToMessage(lines[1], &told, of_a_newer_runner).ok()) {
    memory.set_accelerator_total_bytes(std::max<int64_t>(0, told.accelerator_total_bytes()));
    memory.set_accelerator_shares_memory(told.accelerator_shares_memory());
  }
  return memory;
}

absl::Status TestRunner(const RunnerOptions& options, const std::string& device,
                        absl::Duration timeout) {
  WATTLE_ASSIGN_OR_RETURN(const std::string answer,
                          FirstLineOf(options, {"--self-test", device}, timeout));
  return answer == "ok" ? absl::OkStatus() : absl::FailedPreconditionError(answer);
}

absl::StatusOr<std::string> CompileRunnerKernels(const RunnerOptions& options,
                                                 const std::string& device,
                                                 absl::Duration timeout) {
  constexpr std::string_view kMade = "ok: ";
  absl::StatusOr<std::string> answer =
      FirstLineOf(options, {"--compile-kernels", device, options.kernels}, timeout);
  if (!answer.ok()) {
    return answer;
  }
  if (answer->rfind(kMade, 0) != 0) {
    return absl::FailedPreconditionError(*answer);
  }
  return answer->substr(kMade.size());
}

absl::StatusOr<v1::MeasuredRates> MeasureRunnerRates(const RunnerOptions& options,
                                                     const std::string& device,
                                                     absl::Duration timeout) {
  WATTLE_ASSIGN_OR_RETURN(
      const std::string answer,
      FirstLineOf(options, {"--measure-rates", device, "--threads", absl::StrCat(options.threads)},
                  timeout));
  v1::MeasuredRates rates;
  if (const auto read = google::protobuf::util::JsonStringToMessage(answer, &rates); !read.ok()) {
    return absl::InternalError(absl::StrCat(options.program,
                                            " --measure-rates: ", std::string(read.message()),
                                            "; is the runner of another version?"));
  }
  return rates;
}

}  // namespace wattle::child
