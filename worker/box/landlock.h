// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Landlock by its system calls: which files a process may touch. Built before fork, entered by the
// child's one thread, inherited over exec. Kernels from 5.13 have it where it is switched on.
#ifndef WATTLE_WORKER_BOX_LANDLOCK_H_
#define WATTLE_WORKER_BOX_LANDLOCK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "base/unique_descriptor.h"

namespace wattle::box {

// What is allowed at a path and, for a directory, at everything below it.
enum class Access {
  kRead,
  kExecute,  // and read
  kWrite,    // and read, make, rename and remove
  kDevice,   // read and write, and control of a device
};

class Landlock {
 public:
  // Refuses every file, TCP, and signals and abstract sockets to the outside, as far as this kernel
  // can. Errors: kUnimplemented, where it has no Landlock.
  static absl::StatusOr<Landlock> Create();

  // Errors: kNotFound, kPermissionDenied, kInternal.
  absl::Status Allow(const std::string& path, Access access);
  // The same where the path is there; boards differ.
  absl::Status AllowIfThere(const std::string& path, Access access);

  // Between fork and exec: system calls alone. False: errno says why. AllowOwnProcess: to read the
  // files of the caller below /proc, which have another name in each process. AllowOwnThreads: also
  // to write those of its threads, which CUDA's driver gives names there.
  [[nodiscard]] bool AllowOwnProcess() const;
  [[nodiscard]] bool AllowOwnThreads() const;
  [[nodiscard]] bool Enter() const;  // wants PR_SET_NO_NEW_PRIVS

 private:
  Landlock(UniqueDescriptor rules, int version);
  [[nodiscard]] bool AllowOwn(const char* path, uint64_t rights) const;

  UniqueDescriptor rules_;
  int version_ = 0;  // of the kernel's interface
};

}  // namespace wattle::box

#endif  // WATTLE_WORKER_BOX_LANDLOCK_H_
