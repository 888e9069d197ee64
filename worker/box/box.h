// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The box of one runner, entered by the agent's child between fork and exec: libtorch has threads
// before main, and Landlock holds only the thread that enters it
// (docs/adr/0042-box-before-exec.md). All that allocates is done before the fork; in the child
// there are system calls alone.
//
//   auto box = Box::Prepare(spec);
//   auto [here, there] = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
//   fork: child:  box->Enter(there); execve(box->program(), …)
//         agent:  close(there); auto refusals = AwaitEntry(here);
//
// A Box is used for one fork. Thread-safe where it is const.
#ifndef WATTLE_WORKER_BOX_BOX_H_
#define WATTLE_WORKER_BOX_BOX_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "base/unique_descriptor.h"
#include "worker/box/landlock.h"
#include "worker/box/level.h"
#include "worker/box/system_calls.h"

namespace wattle::box {

// 0: no limit.
struct Limits {
  // Of memory that the process may write and shares with nobody (RLIMIT_DATA): heap, tensors,
  // stacks. Not RLIMIT_AS: libraries, weights that are mapped from files and reserved addresses
  // take no memory, and a sanitizer reserves terabytes.
  int64_t memory_bytes = 0;
  int64_t file_bytes = 0;  // of each file that is written; a write beyond it fails with EFBIG
};

struct Spec {
  Level level = Level::kNone;
  std::string program;
  std::vector<std::string> readable{};  // files, and directories with all that is below; must exist
  std::vector<std::string> writable{};
  bool cuda = false;
  Limits limits{};
};

// How much memory a runner may have whose peak the plan estimates; 0 where it is not known.
int64_t MemoryLimit(int64_t estimated_peak_bytes, int threads);
// How large a file may be on a disk with so much free space, of which `reserve_bytes` stay free.
int64_t FileLimit(int64_t free_bytes, int64_t reserve_bytes);

class Box {
 public:
  // Errors: kNotFound, kPermissionDenied (of a path, by name), kUnimplemented (this kernel has not
  // what the level wants), kInternal.
  static absl::StatusOr<Box> Prepare(const Spec& spec);

  // Pass this very pointer to execve: the filter allows no other.
  [[nodiscard]] const char* program() const { return spec_->program.c_str(); }

  // In the child: enters, and tells `socket` so. Where a step fails it tells that and ends the
  // process, so that no runner is ever started outside its box.
  void Enter(int socket);

 private:
  Box(std::unique_ptr<Spec> spec, std::optional<Landlock> landlock, Filter filter);
  [[nodiscard]] bool EnterNamespaces() const;
  [[nodiscard]] bool SetLimits(bool own_user_namespace) const;

  std::unique_ptr<Spec> spec_;  // at one place, so that program() stays what it is
  std::optional<Landlock> landlock_;
  Filter filter_;  // empty at kNone
  // What is written below /proc/self to keep the user's id in a namespace of its own.
  std::string user_map_;
  std::string group_map_;
};

// The kernel's word on calls that a runner made and may not make. Such a call waits until the
// runner is killed, so it never happens.
class Refusals {
 public:
  Refusals() = default;  // of a runner whose calls are not told
  explicit Refusals(UniqueDescriptor listener) : listener_(std::move(listener)) {}

  // For poll: POLLIN, a call waits (the caller takes it and kills the runner); POLLHUP, the runner
  // is gone. -1: nothing is told.
  [[nodiscard]] int descriptor() const { return listener_.get(); }
  // The call's name. "a call that is not known" where a signal has withdrawn it.
  [[nodiscard]] std::string Take() const;
  // The same, and the call fails with EPERM: the runner lives on. For those who look which calls a
  // driver makes (bench/box_load.cc).
  [[nodiscard]] std::string TakeAndRefuse() const;

 private:
  UniqueDescriptor listener_;
};

// In the agent, with its own end of the socket: waits until the child is in its box. Errors:
// kFailedPrecondition names the step that failed; kDeadlineExceeded, kInternal.
absl::StatusOr<Refusals> AwaitEntry(int socket);

}  // namespace wattle::box

#endif  // WATTLE_WORKER_BOX_BOX_H_
