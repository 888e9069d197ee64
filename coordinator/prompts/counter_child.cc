// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/counter_child.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "coordinator/prompts/counter_program.h"
#include "worker/box/box.h"
#include "worker/box/environment.h"

extern char** environ;

namespace wattle::prompts {
namespace {

// A refusal is one line. A child that was taken over cannot fill the coordinator's memory.
constexpr size_t kAnswerBytesMax = size_t{64} << 10;

}  // namespace

absl::StatusOr<std::unique_ptr<CounterChild>> CounterChild::Start(
    const CounterOptions& options, const v1::PromptCountModel& model) {
  WATTLE_ASSIGN_OR_RETURN(
      box::Box box,
      box::Box::Prepare({.level = options.level,
                         .program = options.program,
                         .limits = {.memory_bytes = options.memory_bytes, .file_bytes = 1}}));
  std::vector<std::string> arguments = {options.program};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  WATTLE_ASSIGN_OR_RETURN(box::BoxedProgram process,
                          box::StartBoxed({.path = options.program,
                                           .arguments = std::move(arguments),
                                           .environment = box::CleanEnvironment(environ)},
                                          &box));
  return std::unique_ptr<CounterChild>(new CounterChild(
      std::move(process), options.memory_bytes, child::EncodeFrame(model.SerializeAsString())));
}

CounterChild::~CounterChild() {
  if (!reaped_) {
    kill(process_.pid, SIGKILL);
    waitpid(process_.pid, nullptr, 0);
  }
}

bool CounterChild::Write() {
  while (written_ < outgoing_.size()) {
    const ssize_t size =
        write(process_.input.get(), outgoing_.data() + written_, outgoing_.size() - written_);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size < 0) {
      return errno == EAGAIN;
    }
    written_ += static_cast<size_t>(size);
  }
  outgoing_ = std::string();
  written_ = 0;
  return true;
}

absl::StatusOr<std::optional<v1::PromptCountAnswer>> CounterChild::Read() {
  std::array<char, 1 << 12> buffer = {};
  const ssize_t size = read(process_.output.get(), buffer.data(), buffer.size());
  if (size < 0 && errno == EINTR) {
    return std::nullopt;
  }
  if (size <= 0) {
    return End();
  }
  frames_.Append(absl::string_view(buffer.data(), static_cast<size_t>(size)));
  absl::StatusOr<std::optional<std::string>> frame = frames_.Next();
  if (!frame.ok() || frames_.buffered() > kAnswerBytesMax) {
    return absl::DataLossError("gave an answer that is none");
  }
  if (!frame->has_value()) {
    return std::nullopt;
  }
  v1::PromptCountAnswer answer;
  if (!answer.ParseFromString(**frame)) {
    return absl::DataLossError("gave an answer that is none");
  }
  return answer;
}

// The child has closed its output, as it does at its end.
absl::Status CounterChild::End() {
  kill(process_.pid, SIGKILL);  // One that closed it and lives on is of no use.
  int status = 0;
  while (waitpid(process_.pid, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kCounterOutOfMemory) {
    return absl::ResourceExhaustedError(
        absl::StrCat("wanted more than ", memory_bytes_ >> 20, " MiB of memory"));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == box::kExecFailed) {
    return absl::NotFoundError("could not be started: is the program still there?");
  }
  return absl::AbortedError(WIFSIGNALED(status)
                                ? absl::StrCat("was ended by signal ", WTERMSIG(status))
                                : absl::StrCat("left with exit code ", WEXITSTATUS(status)));
}

absl::StatusOr<v1::PromptCountAnswer> CounterChild::Ask(const v1::PromptCountQuestion& question,
                                                        absl::Duration patience, int stop) {
  outgoing_ += child::EncodeFrame(question.SerializeAsString());
  const Monotonic end = Clock::Real().Boottime() + patience;
  bool reads = true;
  int error = process_.error.get();
  int refusals = process_.refusals.descriptor();
  while (true) {
    std::array<pollfd, 5> streams = {
        pollfd{stop, POLLIN, 0}, pollfd{refusals, POLLIN, 0},
        pollfd{process_.output.get(), POLLIN, 0}, pollfd{error, POLLIN, 0},
        pollfd{reads && !outgoing_.empty() ? process_.input.get() : -1, POLLOUT, 0}};
    const int64_t left = absl::ToInt64Milliseconds(end - Clock::Real().Boottime());
    if (left <= 0) {
      return absl::DeadlineExceededError(
          absl::StrCat("did not end within ", absl::FormatDuration(patience)));
    }
    if (poll(streams.data(), streams.size(), static_cast<int>(left)) < 0) {
      continue;  // EINTR
    }
    if (streams[0].revents != 0) {
      return absl::CancelledError("the coordinator stops");
    }
    if ((streams[1].revents & POLLIN) != 0) {
      return absl::PermissionDeniedError(
          absl::StrCat("was stopped by its box at the system call ", process_.refusals.Take()));
    }
    if (streams[1].revents != 0) {
      refusals = -1;  // The child is gone.
    }
    if (streams[4].revents != 0) {
      reads = Write();
    }
    if (streams[3].revents != 0) {
      std::array<char, 512> unheard = {};  // So that nobody waits for a reader.
      error = read(error, unheard.data(), unheard.size()) > 0 ? error : -1;
    }
    if (streams[2].revents != 0) {
      WATTLE_ASSIGN_OR_RETURN(std::optional<v1::PromptCountAnswer> answer, Read());
      if (answer.has_value()) {
        return *std::move(answer);
      }
    }
  }
}

}  // namespace wattle::prompts
