// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox/isolation.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/status_macros.h"
#include "worker/sandbox/sandbox.h"

namespace wattle::sandbox {
namespace {

constexpr char kThisProgram[] = "/proc/self/exe";
constexpr int kTrialMilliseconds = 10'000;
// Exit code of a trial's child whose sandbox restricts nothing.
constexpr int kFilesAreOpen = 3;
constexpr int kCallsAreOpen = 4;

// In the sandboxed child: reading the root folder must fail at kFull, and opening a network socket
// must end the process at both levels.
[[noreturn]] void TryWhatIsForbidden(Level level) {
  if (level >= Level::kFull && open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0) {
    _exit(kFilesAreOpen);
  }
  (void)socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  _exit(kCallsAreOpen);
}

absl::Status Judge(int status) {
  if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGKILL)) {
    return absl::OkStatus();
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  return absl::FailedPreconditionError(
      code == kFilesAreOpen   ? "Landlock: entered, and holds nothing back"
      : code == kCallsAreOpen ? "seccomp: entered, and holds nothing back"
                              : "a trial ended in an unknown way");
}

}  // namespace

absl::Status TryLevel(Level level) {
  if (level == Level::kNone) {
    return absl::OkStatus();  // the level has no restriction that could be tried
  }
  WATTLE_ASSIGN_OR_RETURN(Sandbox trial,
                          Sandbox::Prepare({.level = level, .program = kThisProgram}));
  std::array<int, 2> ends = {};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return absl::InternalError(
        absl::StrCat("socketpair: ", std::generic_category().message(errno)));
  }
  const UniqueDescriptor here(ends[0]);
  UniqueDescriptor there(ends[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    // Dies with the worker if the worker is killed here; otherwise its forbidden call would wait
    // for ever while it holds the lock of the worker's state folder.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(kCallsAreOpen);
    }
    trial.Enter(there.get());
    TryWhatIsForbidden(level);
  }
  if (pid < 0) {
    return absl::InternalError(absl::StrCat("fork: ", std::generic_category().message(errno)));
  }
  there = UniqueDescriptor();
  CrashPoint("isolation");
  const absl::StatusOr<Refusals> refusals = AwaitEntry(here.get());
  if (refusals.ok() && refusals->descriptor() >= 0) {
    pollfd told = {refusals->descriptor(), POLLIN, 0};
    // POLLIN: the forbidden call waits, so the trial passed. Otherwise the child has ended by
    // itself.
    if (poll(&told, 1, kTrialMilliseconds) <= 0 || (told.revents & POLLIN) != 0) {
      kill(pid, SIGKILL);
    }
  } else if (!refusals.ok()) {
    kill(pid, SIGKILL);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  WATTLE_RETURN_IF_ERROR(refusals.status());
  return Judge(status);
}

Isolation DetectIsolation(Level at_most) {
  Isolation isolation;
  for (const Level level : {Level::kFull, Level::kSeccomp}) {
    if (level > at_most) {
      continue;
    }
    const absl::Status tried = TryLevel(level);
    if (tried.ok()) {
      isolation.level = level;
      return isolation;
    }
    isolation.missing = absl::StrCat(isolation.missing, isolation.missing.empty() ? "" : "; ",
                                     std::string(tried.message()));
  }
  return isolation;
}

absl::Status CheckAtLeast(const Isolation& isolation, Level wanted) {
  if (isolation.level >= wanted) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--isolation-min ", LevelName(wanted), ": this machine gives ", LevelName(isolation.level),
      " (", isolation.missing.empty() ? "--isolation asks for no more" : isolation.missing,
      "); start a kernel that has it (docs/operate/security.md), or accept --isolation-min ",
      LevelName(isolation.level)));
}

}  // namespace wattle::sandbox
