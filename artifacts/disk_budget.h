// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Limits a worker's use of a disk: one quota for its cache, checkpoints, results and records
// together, and a reserve of the file system that stays free for other programs. The cache makes
// room for the others; the others never prevent the fetch of an artifact that a job needs.
// Thread-safe where the functions in it are.
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

// Bytes of all files below a directory; 0 if it does not exist.
int64_t TreeSizeBytes(const std::string& directory);

struct DiskBudget {
  std::string directory;                 // on the disk in question
  int64_t quota_bytes = 0;               // limit of all counted bytes; 0: no quota
  int64_t reserve_bytes = 0;             // bytes of the file system kept free
  std::function<int64_t()> others = {};  // counted bytes besides the caller's own; may be empty
  FreeSpaceProbe free_space = FreeSpaceOf;

  // The bytes that the caller, which uses `used_bytes`, must free before it may write
  // `wanted_bytes` more; 0: it may write now. Errors: those of free_space.
  [[nodiscard]] absl::StatusOr<int64_t> Excess(int64_t used_bytes, int64_t wanted_bytes) const;
  // For a caller that can free nothing more. kResourceExhausted: `wanted_bytes` more do not fit
  // beside its own `used_bytes` and the reserve; states the missing amount and the remedy.
  [[nodiscard]] absl::Status CheckOwn(int64_t used_bytes, int64_t wanted_bytes) const;
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_DISK_BUDGET_H_
