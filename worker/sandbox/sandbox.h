// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The sandbox of one runner, entered by the agent's child between fork and exec: libtorch has
// threads before main, and Landlock holds only the thread that enters it
// (docs/adr/0042-box-before-exec.md). All allocation happens before the fork; the child makes only
// system calls.
//
//   auto sandbox = Sandbox::Prepare(spec);
//   auto [here, there] = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
//   fork: child:  sandbox->Enter(there); execve(sandbox->program(), …)
//         agent:  close(there); auto refusals = AwaitEntry(here);
//
// A Sandbox is used for one fork. Thread-safe where it is const.
#ifndef WATTLE_WORKER_SANDBOX_SANDBOX_H_
#define WATTLE_WORKER_SANDBOX_SANDBOX_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "base/unique_descriptor.h"
#include "worker/sandbox/landlock.h"
#include "worker/sandbox/level.h"
#include "worker/sandbox/system_calls.h"

namespace wattle::sandbox {

// 0: no limit.
struct Limits {
  // Limit of private writable memory (RLIMIT_DATA): heap, tensors, stacks. Not RLIMIT_AS, because
  // libraries, weights mapped from files and reserved addresses take no memory, and a sanitizer
  // reserves terabytes.
  int64_t memory_bytes = 0;
  int64_t file_bytes = 0;  // of each written file; a write beyond it fails with EFBIG
};

struct Spec {
  Level level = Level::kNone;
  std::string program;
  std::vector<std::string> readable{};  // files, and directories with their content; must exist
  std::vector<std::string> writable{};
  bool cuda = false;
  Limits limits{};
};

// The memory limit of a runner with this estimated peak; 0 if the peak is unknown.
int64_t MemoryLimit(int64_t estimated_peak_bytes, int threads);
// The file size limit on a disk with this free space, of which `reserve_bytes` stay free.
int64_t FileLimit(int64_t free_bytes, int64_t reserve_bytes);

class Sandbox {
 public:
  // Errors: kNotFound, kPermissionDenied (both name the path), kUnimplemented (this kernel lacks a
  // feature that the level needs), kInternal.
  static absl::StatusOr<Sandbox> Prepare(const Spec& spec);

  // Pass this pointer to execve; the filter allows no other.
  [[nodiscard]] const char* program() const { return spec_->program.c_str(); }

  // In the child: enters the sandbox and reports it on `socket`. If a step fails, reports that and
  // ends the process, so that no runner ever starts outside its sandbox.
  void Enter(int socket);

 private:
  Sandbox(std::unique_ptr<Spec> spec, std::optional<Landlock> landlock, Filter filter);
  [[nodiscard]] bool EnterNamespaces() const;
  [[nodiscard]] bool SetLimits(bool own_user_namespace) const;

  std::unique_ptr<Spec> spec_;  // on the heap, so that the pointer program() stays valid
  std::optional<Landlock> landlock_;
  Filter filter_;  // empty at kNone
  // Text for /proc/self/uid_map, which keeps the user's id in the new namespace.
  std::string user_map_;
  std::string group_map_;
};

// The kernel's notifications of a runner's forbidden calls. Such a call waits until the runner is
// killed, so it is never carried out.
class Refusals {
 public:
  Refusals() = default;  // for a runner without notifications
  explicit Refusals(UniqueDescriptor listener) : listener_(std::move(listener)) {}

  // For poll: POLLIN, a call waits (the caller takes it and kills the runner); POLLHUP, the runner
  // is gone. -1: no notifications.
  [[nodiscard]] int descriptor() const { return listener_.get(); }
  // The call's name. "a call that is not known" if a signal has withdrawn it.
  [[nodiscard]] std::string Take() const;
  // Take, but the call fails with EPERM and the runner continues. For finding the calls of a driver
  // (bench/box_load.cc).
  [[nodiscard]] std::string TakeAndRefuse() const;

 private:
  UniqueDescriptor listener_;
};

// Called in the agent with its own end of the socket: waits until the child is in its sandbox.
// Errors: kFailedPrecondition names the step that failed; kDeadlineExceeded, kInternal.
absl::StatusOr<Refusals> AwaitEntry(int socket);

}  // namespace wattle::sandbox

#endif  // WATTLE_WORKER_SANDBOX_SANDBOX_H_
