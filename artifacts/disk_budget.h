// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How much of a disk a worker may use: one quota for its cache, its checkpoints, its results and
// its records together, and a reserve of the file system that stays free for everybody else. The
// cache gives way to the others; the others never refuse an artifact that a job needs. Thread-safe
// where the functions in it are.
#ifndef WATTLE_ARTIFACTS_DISK_BUDGET_H_
#define WATTLE_ARTIFACTS_DISK_BUDGET_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wattle::artifacts {

// Free bytes of the file system that holds a path.
using FreeSpaceProbe = std::function<absl::StatusOr<int64_t>(const std::string& path)>;
absl::StatusOr<int64_t> FreeSpaceOf(const std::string& path);

// Bytes of all files below a directory; 0 where there is none.
int64_t TreeSizeBytes(const std::string& directory);

struct DiskBudget {
  std::string directory;                 // on the disk in question
  int64_t quota_bytes = 0;               // of everything that is counted; 0: no quota
  int64_t reserve_bytes = 0;             // of the file system, kept free
  std::function<int64_t()> others = {};  // counted bytes besides the asker's own; may be empty
  FreeSpaceProbe free_space = FreeSpaceOf;

  // How many bytes the asker, who uses `used_bytes`, has to free before it may write `wanted_bytes`
  // more; 0: it may write now. Errors: those of free_space.
  [[nodiscard]] absl::StatusOr<int64_t> Excess(int64_t used_bytes, int64_t wanted_bytes) const;
  // For an asker that can free nothing more. kResourceExhausted: `wanted_bytes` more do not fit
  // beside its own `used_bytes` and the reserve; says how much is missing and what to do.
  [[nodiscard]] absl::Status CheckOwn(int64_t used_bytes, int64_t wanted_bytes) const;
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_DISK_BUDGET_H_
