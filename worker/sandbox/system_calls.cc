// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox/system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "base/unique_descriptor.h"

namespace wattle::sandbox {
namespace {

// Allowed with any arguments. Names that a processor lacks (arm64 has no open) are skipped.
constexpr const char* kAllowed[] = {
    // Files: Landlock decides which. Without chmod, utimensat and truncate, which act on a path:
    // Landlock does not check the first two, nor the third before Linux 6.2.
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev",
    "pwritev2", "creat", "close", "close_range", "lseek", "stat", "lstat", "fstat", "newfstatat",
    "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getcwd", "getdents", "getdents64", "rename", "renameat", "renameat2", "mkdir", "mkdirat",
    "rmdir", "unlink", "unlinkat", "ftruncate", "fallocate", "fadvise64", "fsync", "fdatasync",
    "sync_file_range", "flock", "dup", "dup2", "dup3", "pipe", "pipe2", "eventfd2", "poll", "ppoll",
    "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    "copy_file_range", "sendfile", "umask",
    // Memory.
    "munmap", "mprotect", "mremap", "madvise", "brk", "msync", "mlock", "mlock2", "munlock",
    "mincore", "mbind", "set_mempolicy", "get_mempolicy", "membarrier",
    // Threads, signals, time.
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "set_tid_address",
    "arch_prctl", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "sched_get_priority_max", "sched_get_priority_min", "getpriority", "getcpu", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigsuspend", "rt_sigpending",
    "sigaltstack", "pause", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres",
    "gettimeofday", "time", "times", "restart_syscall", "exit", "exit_group",
    // The process's own ids and facts.
    "getpid", "gettid", "getppid", "getpgrp", "getpgid", "getuid", "geteuid", "getgid", "getegid",
    "getgroups", "getresuid", "getresgid", "getrusage", "getrlimit", "sysinfo", "uname",
    "getrandom", "capget",
    // For the child's last message to the agent before it becomes the runner. Useless later without
    // sockets.
    "sendmsg"};

// Controls of a descriptor. Without F_SETOWN and F_SETSIG, by which a pipe could signal any process
// of this user.
constexpr int kFileControls[] = {F_DUPFD,     F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,    F_GETFL,
                                 F_SETFL,     F_GETLK,         F_SETLK,     F_SETLKW,   F_OFD_GETLK,
                                 F_OFD_SETLK, F_OFD_SETLKW,    F_ADD_SEALS, F_GET_SEALS};

// Controls of a terminal's or a file's own state. No others: TIOCSTI types into a terminal.
constexpr unsigned int kControls[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIOCLEX, FIONCLEX};

// PR_SET_PDEATHSIG is allowed only with SIGKILL: a runner may not outlive its agent.
constexpr int kProcessControls[] = {
    PR_SET_NAME,      PR_GET_NAME,       PR_GET_DUMPABLE, PR_CAPBSET_READ,   PR_GET_NO_NEW_PRIVS,
    PR_GET_PDEATHSIG, PR_SET_TIMERSLACK, PR_GET_SECCOMP,  PR_GET_SECUREBITS, PR_SET_VMA};

// Calls of CUDA's driver that get a fixed answer, with which the driver works:
struct DriverAnswer {
  const char* call;
  int error;  // 0: the call returns success without being carried out
};
// - At its start the driver maintains the nodes of its GPUs in /dev, like NVIDIA's nvidia-modprobe,
//   whose source is public. The driver removes the node's link in /dev/char and makes it again, but
//   no job needs that link. The driver would start nvidia-modprobe as a process; without it, the
//   driver uses the existing nodes.
// - The driver looks for a server that shares GPUs (MPS), and continues without one.
constexpr DriverAnswer kDriverAnswers[] = {
    {"symlink", 0},     {"symlinkat", 0},  {"chown", 0},        {"lchown", 0},
    {"fchownat", 0},    {"chmod", 0},      {"fchmod", 0},       {"fchmodat", 0},
    {"utimensat", 0},   {"mknod", EPERM},  {"mknodat", EPERM},  {"fork", EPERM},
    {"vfork", EPERM},   {"setsockopt", 0}, {"connect", ENOENT}, {"accept", EAGAIN},
    {"accept4", EAGAIN}};
// Calls that CUDA's driver needs. ioctl is its interface to the GPU: Landlock decides to which
// nodes. Without a socket that listens for other processes of the same user, the driver gives up
// the GPU (error 304). No process can connect: accept is refused, and no name belongs to another
// network namespace.
constexpr unsigned int kDriverSocket = SOCK_SEQPACKET | SOCK_CLOEXEC;
constexpr const char* kDriverCalls[] = {
    "ioctl", "memfd_create", "sched_setaffinity", "sched_setscheduler", "bind", "listen"};

// Placeholder for the process's own id until the process exists.
constexpr uint32_t kOwnProcess = 0x7a7a7a7aU;

struct ContextDeleter {
  void operator()(void* context) const { seccomp_release(context); }
};

// Collects the first error, so that the rules read as a list.
class Rules {
 public:
  Rules() : context_(seccomp_init(SCMP_ACT_NOTIFY)) {
    if (context_ == nullptr) {
      status_ = absl::InternalError("libseccomp: no filter; is it older than 2.5?");
      return;
    }
    // The numbers of another architecture, such as 32-bit code, mean other calls.
    Check("architecture",
          seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    // A binary tree of the numbers: the kernel runs the program at every call.
    Check("optimize", seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  }

  void Answer(uint32_t action, const char* name, std::vector<scmp_arg_cmp> arguments = {}) {
    const int number = seccomp_syscall_resolve_name(name);
    if (context_ == nullptr || number < 0) {
      return;  // this processor lacks the call
    }
    Check(name,
          seccomp_rule_add_array(context_.get(), action, number,
                                 static_cast<unsigned int>(arguments.size()), arguments.data()));
  }
  void Allow(const char* name, std::vector<scmp_arg_cmp> arguments = {}) {
    Answer(SCMP_ACT_ALLOW, name, std::move(arguments));
  }

  absl::StatusOr<Filter> Export() {
    WATTLE_RETURN_IF_ERROR(status_);
    const UniqueDescriptor file(memfd_create("wattle_filter", MFD_CLOEXEC));
    Check("export", file.get() < 0 ? -errno : seccomp_export_bpf(context_.get(), file.get()));
    WATTLE_RETURN_IF_ERROR(status_);
    const off_t size = lseek(file.get(), 0, SEEK_END);
    Filter filter(static_cast<size_t>(size) / sizeof(sock_filter));
    if (filter.empty() || pread(file.get(), filter.data(), static_cast<size_t>(size), 0) != size) {
      return absl::InternalError("libseccomp: the filter could not be read back");
    }
    return filter;
  }

 private:
  void Check(const char* what, int result) {
    if (result < 0 && status_.ok()) {
      status_ = absl::InternalError(
          absl::StrCat("libseccomp: ", what, ": ", std::generic_category().message(-result)));
    }
  }

  std::unique_ptr<void, ContextDeleter> context_;
  absl::Status status_;
};

constexpr scmp_arg_cmp Equals(unsigned int argument, uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
// The kernel reads only the low half of the argument.
constexpr scmp_arg_cmp EqualsInt(unsigned int argument, uint32_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, 0xffffffffU, value};
}

// Truncation requires opening for writing here, because Landlock checks that right only since Linux
// 6.2.
void AllowOpen(const char* name, unsigned int flags, Rules& rules) {
  rules.Allow(name, {{flags, SCMP_CMP_MASKED_EQ, O_TRUNC, 0}});
  for (const unsigned int mode : {O_WRONLY, O_RDWR}) {
    rules.Allow(name, {{flags, SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC | mode}});
  }
}

// The memory limit counts private mappings that grow upwards. A GPU's driver has mappings of its
// own.
void AllowMappings(bool cuda, Rules& rules) {
  if (cuda) {
    rules.Allow("mmap");
    return;
  }
  constexpr unsigned int kFlags = 3;
  rules.Allow("mmap", {{kFlags, SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0}});
  rules.Allow("mmap", {{kFlags, SCMP_CMP_MASKED_EQ, MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN,
                        MAP_PRIVATE | MAP_ANONYMOUS}});
}

}  // namespace

absl::StatusOr<Filter> MakeFilter(bool cuda, const char* program) {
  Rules rules;
  for (const char* name : kAllowed) {
    rules.Allow(name);
  }
  // Threads, but no other process. The flags of clone3 are in memory, which a filter cannot read;
  // without clone3 the C library uses clone.
  rules.Allow("clone", {{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}});
  rules.Answer(SCMP_ACT_ERRNO(ENOSYS), "clone3");
  rules.Allow("execve", {Equals(0, reinterpret_cast<uintptr_t>(program))});
  for (const char* name : {"kill", "tgkill"}) {
    rules.Allow(name, {EqualsInt(0, kOwnProcess)});
  }
  rules.Allow("prlimit64", {EqualsInt(0, 0)});
  for (const int control : kFileControls) {
    rules.Allow("fcntl", {EqualsInt(1, static_cast<uint32_t>(control))});
  }
  AllowOpen("open", 1, rules);
  AllowOpen("openat", 2, rules);
  AllowMappings(cuda, rules);
  rules.Allow("prctl", {EqualsInt(0, PR_SET_PDEATHSIG), Equals(1, SIGKILL)});
  for (const int control : kProcessControls) {
    rules.Allow("prctl", {EqualsInt(0, static_cast<uint32_t>(control))});
  }
  // Libraries of libtorch query the name service for the user's name when loaded, and work without
  // an answer.
  if (cuda) {
    rules.Allow("socket", {EqualsInt(0, AF_UNIX), Equals(1, kDriverSocket)});
    rules.Answer(SCMP_ACT_ERRNO(EACCES), "socket",
                 {EqualsInt(0, AF_UNIX), {1, SCMP_CMP_NE, kDriverSocket, 0}});
    for (const char* name : kDriverCalls) {
      rules.Allow(name);
    }
    for (const DriverAnswer& answer : kDriverAnswers) {
      rules.Answer(SCMP_ACT_ERRNO(answer.error), answer.call);
    }
    rules.Answer(SCMP_ACT_ERRNO(EPERM), "clone", {{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}});
  } else {
    // Only for the calling thread, not for other processes.
    rules.Allow("sched_setaffinity", {Equals(0, 0)});
    rules.Answer(SCMP_ACT_ERRNO(EPERM), "sched_setaffinity", {{0, SCMP_CMP_NE, 0, 0}});
    rules.Answer(SCMP_ACT_ERRNO(EACCES), "socket", {EqualsInt(0, AF_UNIX)});
    for (const unsigned int control : kControls) {
      rules.Allow("ioctl", {EqualsInt(1, control)});
    }
  }
  return rules.Export();
}

void SetOwnProcess(absl::Span<sock_filter> filter, pid_t process) {
  for (sock_filter& instruction : filter) {
    if (BPF_CLASS(instruction.code) == BPF_JMP && instruction.k == kOwnProcess) {
      instruction.k = static_cast<uint32_t>(process);
    }
  }
}

void KillInsteadOfTelling(absl::Span<sock_filter> filter) {
  for (sock_filter& instruction : filter) {
    if (BPF_CLASS(instruction.code) == BPF_RET && instruction.k == SECCOMP_RET_USER_NOTIF) {
      instruction.k = SECCOMP_RET_KILL_PROCESS;
    }
  }
}

std::string SystemCallName(uint32_t architecture, int number) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      seccomp_syscall_resolve_num_arch(architecture, number), &std::free);
  return name == nullptr ? absl::StrCat("number ", number) : std::string(name.get());
}

}  // namespace wattle::sandbox
