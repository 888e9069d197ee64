// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox/sandboxed_program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"

namespace wattle::sandbox {
namespace {

struct Pipe {
  UniqueDescriptor read;
  UniqueDescriptor write;
};

absl::Status NoMore(const char* what) {
  return absl::ResourceExhaustedError(
      absl::StrCat(what, ": ", std::generic_category().message(errno)));
}

absl::StatusOr<Pipe> MakePipe() {
  std::array<int, 2> ends = {};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return NoMore("pipe");
  }
  return Pipe{UniqueDescriptor(ends[0]), UniqueDescriptor(ends[1])};
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

struct ChildPlan {
  const char* program;
  char* const* arguments;
  char* const* environment;
  int input, output, error;
  int nice;
  pid_t parent;
  Sandbox* sandbox;  // null: none
  int entry;         // the socket on which the child reports that it is in the sandbox
  int group;         // the control group; -1: none
};

// A machine out of memory kills the child, whose work can be repeated, before this process or a
// program of the owner. Any process may raise its own score (proc_pid_oom_score_adj(5)).
void PreferForOutOfMemoryKill() {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file >= 0) {
    constexpr std::string_view kScore = "500";
    (void)!write(file, kScore.data(), kScore.size());
    close(file);
  }
}

// Between fork and exec in a process with threads: only async-signal-safe calls.
[[noreturn]] void RunChild(const ChildPlan& plan) {
  // Dies with its parent. If the parent died before this line, the parent's id has changed.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) {
    _exit(kExecFailed);
  }
  // A process group of its own, so that the parent handles Ctrl-C on its terminal.
  setpgid(0, 0);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) {
    signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);  // NOLINT(concurrency-mt-unsafe): one thread here
  dup2(plan.input, STDIN_FILENO);
  dup2(plan.output, STDOUT_FILENO);
  dup2(plan.error, STDERR_FILENO);
  const rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &no_core);  // no model-sized core files on the SD card
  PreferForOutOfMemoryKill();
  if (plan.group >= 0) {
    (void)!write(plan.group, "0", 1);  // moves this process itself, before it holds a byte of the
                                       // model
  }
  if (plan.nice != 0) {
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + plan.nice);
  }
  if (plan.sandbox != nullptr) {
    plan.sandbox->Enter(plan.entry);
  }
#ifdef SYS_close_range
  syscall(SYS_close_range, 3U, ~0U, 0U);  // on older kernels descriptors without CLOEXEC stay open
#endif
  execve(plan.program, plan.arguments, plan.environment);
  _exit(kExecFailed);
}

}  // namespace

absl::StatusOr<SandboxedProgram> StartSandboxed(const Program& program, Sandbox* sandbox) {
  WATTLE_ASSIGN_OR_RETURN(Pipe input, MakePipe());
  WATTLE_ASSIGN_OR_RETURN(Pipe output, MakePipe());
  WATTLE_ASSIGN_OR_RETURN(Pipe error, MakePipe());
  if (fcntl(input.write.get(), F_SETFL, O_NONBLOCK) != 0) {
    return NoMore("pipe");
  }
  UniqueDescriptor entry_here;
  UniqueDescriptor entry_there;
  if (sandbox != nullptr) {
    std::array<int, 2> ends = {};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return NoMore("socketpair");
    }
    entry_here = UniqueDescriptor(ends[0]);
    entry_there = UniqueDescriptor(ends[1]);
  }
  std::vector<std::string> arguments = program.arguments;
  std::vector<std::string> environment = program.environment;
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const ChildPlan plan = {.program = sandbox != nullptr ? sandbox->program() : program.path.c_str(),
                          .arguments = argument_pointers.data(),
                          .environment = environment_pointers.data(),
                          .input = input.read.get(),
                          .output = output.write.get(),
                          .error = error.write.get(),
                          .nice = program.nice,
                          .parent = getpid(),
                          .sandbox = sandbox,
                          .entry = entry_there.get(),
                          .group = program.group};
  const pid_t pid = fork();
  if (pid == 0) {
    RunChild(plan);
  }
  if (pid < 0) {
    return NoMore("fork");
  }
  Refusals refusals;
  if (sandbox != nullptr) {
    entry_there = UniqueDescriptor();  // so that the end of the child closes the socket
    absl::StatusOr<Refusals> entered = AwaitEntry(entry_here.get());
    if (!entered.ok()) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
      return entered.status();
    }
    refusals = *std::move(entered);
  }
  return SandboxedProgram{pid, std::move(input.write), std::move(output.read),
                          std::move(error.read), std::move(refusals)};
}

}  // namespace wattle::sandbox
