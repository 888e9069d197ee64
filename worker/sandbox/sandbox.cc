// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "worker/sandbox/libraries.h"

namespace wattle::sandbox {
namespace {

constexpr int kNotEntered = 126;  // exit code of a child that could not enter; 127: no exec
constexpr int kEntryMilliseconds = 10'000;
constexpr rlim_t kOpenFilesMax = 1024;
constexpr rlim_t kThreadsMax = 4096;
// Allowance beside the planned peak for private writable memory that is hardly touched. Each thread
// adds OpenBLAS's buffer (128 MiB of addresses) and two stacks; measured with Debian's libtorch
// 1.13: 50 MiB plus 165 MiB a thread above the peak.
constexpr int64_t kMemoryBeside = int64_t{256} << 20;
constexpr int64_t kMemoryOfThread = int64_t{192} << 20;

// Read by the dynamic linker, the C library, libtorch, OpenBLAS and OpenSSL on any board.
constexpr const char* kReadable[] = {"/lib",
                                     "/lib64",
                                     "/usr/lib",
                                     "/usr/local/lib",
                                     "/usr/share/zoneinfo",
                                     "/etc/ld.so.cache",
                                     "/etc/ld.so.preload",
                                     "/etc/localtime",
                                     "/etc/ssl/openssl.cnf",
                                     "/dev/urandom",
                                     "/dev/random",
                                     "/proc/cpuinfo",
                                     "/proc/meminfo",
                                     "/proc/stat",
                                     "/proc/filesystems",
                                     "/proc/sys/vm/overcommit_memory",
                                     "/sys/devices/system/cpu",
                                     "/sys/devices/system/node",
                                     "/sys/kernel/mm/transparent_hugepage"};
// Additional paths for CUDA. Container systems put the driver's libraries into /usr/local/nvidia.
constexpr const char* kCudaReadable[] = {
    "/usr/local/cuda", "/usr/local/nvidia", "/proc/driver/nvidia",
    "/proc/modules",   "/proc/devices",     "/etc/nv_tegra_release",
    "/sys/devices",    "/sys/module",       "/sys/bus/pci"};
// Prefixes of device nodes in /dev of desktop cards and of Jetson boards. Not "nv", because nvme0n1
// is a disk.
constexpr const char* kCudaDevices[] = {"nvidia", "nvhost",   "nvmap",
                                        "nvgpu",  "nvsciipc", "host1x-fence"};

enum class Step : int { kEntered, kLimits, kNamespaces, kPrivileges, kLandlock, kSeccomp };

const char* StepName(Step step) {
  switch (step) {
    case Step::kEntered:
      return "entered";
    case Step::kLimits:
      return "limits";
    case Step::kNamespaces:
      return "network namespace";
    case Step::kPrivileges:
      return "privileges";
    case Step::kLandlock:
      return "Landlock";
    case Step::kSeccomp:
      return "seccomp";
  }
  return "unknown";
}

// The child's message about its entry.
struct Word {
  Step step = Step::kEntered;
  int error = 0;
};
union Control {
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
  cmsghdr header;  // aligns the bytes
};

// listener: a descriptor to pass along, or -1.
void Tell(int socket, Word word, int listener) {
  iovec part = {&word, sizeof(word)};
  Control control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (listener >= 0) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &listener, sizeof(listener));
  }
  (void)!sendmsg(socket, &message, MSG_NOSIGNAL);  // if the agent is gone, this process is killed
                                                   // too
}

[[noreturn]] void GiveUp(int socket, Step step) {
  Tell(socket, {step, errno}, -1);
  _exit(kNotEntered);
}

// Best effort: if the kernel refuses the file, the process has the ids of nobody, with which a
// runner also works.
void WriteText(const char* path, const char* text) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file >= 0) {
    (void)!write(file, text, strlen(text));
    close(file);
  }
}

bool SetLimit(int resource, rlim_t value) {
  rlimit limit = {};
  // Both types vary with the C library: enum or int.
  if (getrlimit(static_cast<decltype(RLIMIT_DATA)>(resource), &limit) != 0) {
    return false;
  }
  limit.rlim_max = std::min(limit.rlim_max, value);
  limit.rlim_cur = std::min(limit.rlim_cur, limit.rlim_max);
  return setrlimit(static_cast<decltype(RLIMIT_DATA)>(resource), &limit) == 0;
}

// A runner of root must be root without capabilities: exec must give none back.
bool DropCapabilities() {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
      break;  // not root: no capability to drop, and no_new_privs prevents gaining one
    }
  }
  const bool root_by_name_alone =
      prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0) == 0;
  __user_cap_header_struct header = {};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none = {};
  if (syscall(SYS_capset, &header, none.data()) == 0) {
    return true;
  }
  // A service manager may refuse the call (@privileged of systemd). In that case exec drops them.
  return errno == EPERM && (geteuid() != 0 || root_by_name_alone) &&
         prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0;
}

// Returns the listener, -1 if this kernel has none, or nullopt with the reason in errno.
std::optional<int> EnterFilter(absl::Span<sock_filter> filter) {
  SetOwnProcess(filter, getpid());
  sock_fprog program = {static_cast<decltype(sock_fprog::len)>(filter.size()), filter.data()};
  // Without SPEC_ALLOW kernels before 5.16 slow the whole process down to protect programs that
  // isolate secrets within one process (Documentation/userspace-api/spec_ctrl.rst).
  unsigned long flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;  // NOLINT(google-runtime-int): the call's
  const auto listener = static_cast<int>(syscall(
      SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
  if (listener >= 0) {
    return listener;
  }
  if (errno != EINVAL) {
    return std::nullopt;
  }
  KillInsteadOfTelling(filter);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0) {
    return -1;
  }
  return std::nullopt;
}

absl::Status AllowCuda(Landlock& landlock) {
  for (const char* path : kCudaReadable) {
    WATTLE_RETURN_IF_ERROR(landlock.AllowIfThere(path, Access::kRead));
  }
  DIR* const devices = opendir("/dev");
  if (devices == nullptr) {
    return absl::OkStatus();
  }
  absl::Status status;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of its own
  for (const dirent* entry = readdir(devices); entry != nullptr && status.ok();
       entry = readdir(devices)) {  // NOLINT(concurrency-mt-unsafe)
    for (const char* prefix : kCudaDevices) {
      if (absl::StartsWith(entry->d_name, prefix)) {
        status = landlock.AllowIfThere(absl::StrCat("/dev/", entry->d_name), Access::kDevice);
      }
    }
  }
  closedir(devices);
  return status;
}

absl::StatusOr<Landlock> MakeLandlock(const Spec& spec) {
  WATTLE_ASSIGN_OR_RETURN(Landlock landlock, Landlock::Create());
  for (const char* path : kReadable) {
    WATTLE_RETURN_IF_ERROR(landlock.AllowIfThere(path, Access::kRead));
  }
  WATTLE_RETURN_IF_ERROR(landlock.AllowIfThere("/dev/null", Access::kDevice));
  WATTLE_RETURN_IF_ERROR(landlock.Allow(spec.program, Access::kExecute));
  WATTLE_ASSIGN_OR_RETURN(const Libraries libraries, LibrariesOf(spec.program));
  if (!libraries.interpreter.empty()) {
    WATTLE_RETURN_IF_ERROR(landlock.Allow(libraries.interpreter, Access::kExecute));
  }
  for (const std::string& path : libraries.files) {
    WATTLE_RETURN_IF_ERROR(landlock.AllowIfThere(path, Access::kRead));
  }
  if (spec.cuda) {
    WATTLE_RETURN_IF_ERROR(AllowCuda(landlock));
    for (const std::string& folder : CudaFoldersOf(libraries)) {
      WATTLE_RETURN_IF_ERROR(landlock.AllowIfThere(folder, Access::kRead));
    }
  }
  for (const std::string& path : spec.readable) {
    WATTLE_RETURN_IF_ERROR(landlock.Allow(path, Access::kRead));
  }
  for (const std::string& path : spec.writable) {
    WATTLE_RETURN_IF_ERROR(landlock.Allow(path, Access::kWrite));
  }
  return landlock;
}

}  // namespace

int64_t MemoryLimit(int64_t estimated_peak_bytes, int threads) {
  return estimated_peak_bytes <= 0 ? 0
                                   : estimated_peak_bytes + estimated_peak_bytes / 4 +
                                         kMemoryBeside + threads * kMemoryOfThread;
}

int64_t FileLimit(int64_t free_bytes, int64_t reserve_bytes) {
  return std::max<int64_t>({free_bytes - reserve_bytes, free_bytes / 2, 1});
}

Sandbox::Sandbox(std::unique_ptr<Spec> spec, std::optional<Landlock> landlock, Filter filter)
    : spec_(std::move(spec)),
      landlock_(std::move(landlock)),
      filter_(std::move(filter)),
      user_map_(absl::StrCat(geteuid(), " ", geteuid(), " 1")),
      group_map_(absl::StrCat(getegid(), " ", getegid(), " 1")) {}

absl::StatusOr<Sandbox> Sandbox::Prepare(const Spec& spec) {
  auto kept = std::make_unique<Spec>(spec);
  Filter filter;
  if (spec.level >= Level::kSeccomp) {
    WATTLE_ASSIGN_OR_RETURN(filter, MakeFilter(spec.cuda, kept->program.c_str()));
  }
  std::optional<Landlock> landlock;
  if (spec.level >= Level::kFull) {
    WATTLE_ASSIGN_OR_RETURN(landlock, MakeLandlock(spec));
  }
  return Sandbox(std::move(kept), std::move(landlock), std::move(filter));
}

// Whether the process is in a user namespace of its own now. If the kernel refuses namespaces, only
// the filter keeps the runner from the network.
bool Sandbox::EnterNamespaces() const {
  if (geteuid() == 0) {
    (void)!unshare(CLONE_NEWNET);
    return false;
  }
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return false;
  }
  WriteText("/proc/self/setgroups", "deny");
  WriteText("/proc/self/uid_map", user_map_.c_str());
  WriteText("/proc/self/gid_map", group_map_.c_str());
  return true;
}

bool Sandbox::SetLimits(bool own_user_namespace) const {
  const Limits& limits = spec_->limits;
  if (limits.file_bytes > 0) {
    signal(SIGXFSZ, SIG_IGN);  // EFBIG instead, which the runner can report
  }
  // No limit of processes: the kernel counts them per user, which would include the user's other
  // programs.
  return (limits.memory_bytes <= 0 ||
          SetLimit(RLIMIT_DATA, static_cast<rlim_t>(limits.memory_bytes))) &&
         (limits.file_bytes <= 0 ||
          SetLimit(RLIMIT_FSIZE, static_cast<rlim_t>(limits.file_bytes))) &&
         (!own_user_namespace || SetLimit(RLIMIT_NPROC, kThreadsMax)) &&
         SetLimit(RLIMIT_NOFILE, kOpenFilesMax);
}

void Sandbox::Enter(int socket) {
  const bool sandboxed = spec_->level >= Level::kSeccomp;
  const bool own_user_namespace = sandboxed && EnterNamespaces();
  if (!SetLimits(own_user_namespace)) {
    GiveUp(socket, Step::kLimits);
  }
  if ((sandboxed && !DropCapabilities()) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    GiveUp(socket, Step::kPrivileges);
  }
  if (landlock_.has_value() &&
      !(landlock_->AllowOwnProcess() && (!spec_->cuda || landlock_->AllowOwnThreads()) &&
        landlock_->Enter())) {
    GiveUp(socket, Step::kLandlock);
  }
  // Last, because the steps above make calls that the filter refuses.
  int listener = -1;
  if (sandboxed) {
    const std::optional<int> entered = EnterFilter(absl::MakeSpan(filter_));
    if (!entered.has_value()) {
      GiveUp(socket, Step::kSeccomp);
    }
    listener = *entered;
  }
  Tell(socket, {Step::kEntered, 0}, listener);
  // The holder of the listener may allow calls, so the runner must not have it.
  if (listener >= 0) {
    close(listener);
  }
}

namespace {

// The waiting call; nullopt if a signal has withdrawn it.
std::optional<seccomp_notif> Receive(int listener) {
  // Larger than any kernel's structure; the kernel requires zeros.
  alignas(seccomp_notif) std::array<char, 1024> bytes = {};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, bytes.data()) != 0) {
    return std::nullopt;
  }
  seccomp_notif notification = {};
  std::memcpy(&notification, bytes.data(), sizeof(notification));
  return notification;
}

std::string NameOf(const std::optional<seccomp_notif>& notification) {
  return notification.has_value() ? SystemCallName(notification->data.arch, notification->data.nr)
                                  : "a call that is not known";
}

}  // namespace

std::string Refusals::Take() const {
  return NameOf(Receive(listener_.get()));
}

std::string Refusals::TakeAndRefuse() const {
  const std::optional<seccomp_notif> notification = Receive(listener_.get());
  if (notification.has_value()) {
    alignas(seccomp_notif_resp) std::array<char, 1024> bytes = {};  // see Receive
    seccomp_notif_resp answer = {};
    answer.id = notification->id;
    answer.error = -EPERM;
    std::memcpy(bytes.data(), &answer, sizeof(answer));
    (void)!ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, bytes.data());
  }
  return NameOf(notification);
}

absl::StatusOr<Refusals> AwaitEntry(int socket) {
  pollfd stream = {socket, POLLIN, 0};
  int ready = 0;
  do {
    ready = poll(&stream, 1, kEntryMilliseconds);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    return absl::DeadlineExceededError("the sandbox: the child does not answer");
  }
  Word word;
  iovec part = {&word, sizeof(word)};
  Control control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  const ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (size != static_cast<ssize_t>(sizeof(word))) {
    return absl::InternalError("the sandbox: the child ended before it was in it");
  }
  if (word.step != Step::kEntered) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the sandbox: ", StepName(word.step), ": ", std::generic_category().message(word.error),
        "; see docs/operate/security.md, for a worker also --isolation none"));
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) {
    return Refusals();
  }
  int listener = -1;
  std::memcpy(&listener, CMSG_DATA(header), sizeof(listener));
  return Refusals(UniqueDescriptor(listener));
}

}  // namespace wattle::sandbox
