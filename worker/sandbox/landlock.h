// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Landlock by its system calls: limits the files that a process may access. Built before fork,
// entered by the child's only thread, inherited over exec. Available in kernels from 5.13 if
// enabled.
#ifndef WATTLE_WORKER_SANDBOX_LANDLOCK_H_
#define WATTLE_WORKER_SANDBOX_LANDLOCK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "base/unique_descriptor.h"

namespace wattle::sandbox {

// The access allowed at a path and, for a directory, at everything below it.
enum class Access {
  kRead,
  kExecute,  // and read
  kWrite,    // and read, make, rename and remove
  kDevice,   // read and write, and control of a device
};

class Landlock {
 public:
  // Makes a ruleset that refuses every file, TCP, and signals and abstract sockets to the outside,
  // as far as this kernel supports. Errors: kUnimplemented if the kernel has no Landlock.
  static absl::StatusOr<Landlock> Create();

  // Errors: kNotFound, kPermissionDenied, kInternal.
  absl::Status Allow(const std::string& path, Access access);
  // Allow if the path exists, because boards differ.
  absl::Status AllowIfThere(const std::string& path, Access access);

  // Between fork and exec: only system calls. False: the reason is in errno. AllowOwnProcess:
  // reading the caller's files below /proc, whose path differs for each process. AllowOwnThreads:
  // also writing the files of its threads, because CUDA's driver sets thread names there.
  [[nodiscard]] bool AllowOwnProcess() const;
  [[nodiscard]] bool AllowOwnThreads() const;
  [[nodiscard]] bool Enter() const;  // requires PR_SET_NO_NEW_PRIVS

 private:
  Landlock(UniqueDescriptor rules, int version);
  [[nodiscard]] bool AllowOwn(const char* path, uint64_t rights) const;

  UniqueDescriptor rules_;
  int version_ = 0;  // of the kernel's interface
};

}  // namespace wattle::sandbox

#endif  // WATTLE_WORKER_SANDBOX_LANDLOCK_H_
