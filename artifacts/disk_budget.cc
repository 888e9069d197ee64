// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/disk_budget.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "units/format.h"

namespace wattle::artifacts {

absl::StatusOr<int64_t> FreeSpaceOf(const std::string& path) {
  struct statvfs status = {};
  if (statvfs(path.c_str(), &status) != 0) {
    return FileError(errno, path, "cannot tell its free space");
  }
  return static_cast<int64_t>(status.f_bavail) * static_cast<int64_t>(status.f_frsize);
}

int64_t TreeSizeBytes(const std::string& directory) {
  int64_t size_bytes = 0;
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(directory, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    std::error_code gone;  // removed meanwhile
    if (it->is_regular_file(gone)) {
      const auto bytes = it->file_size(gone);
      size_bytes += gone ? 0 : static_cast<int64_t>(bytes);
    }
  }
  return size_bytes;
}

absl::StatusOr<int64_t> DiskBudget::Excess(int64_t used_bytes, int64_t wanted_bytes) const {
  int64_t excess = 0;
  if (quota_bytes > 0) {
    excess = used_bytes + (others ? others() : 0) + wanted_bytes - quota_bytes;
  }
  WATTLE_ASSIGN_OR_RETURN(const int64_t free_bytes, free_space(directory));
  return std::max({int64_t{0}, excess, wanted_bytes + reserve_bytes - free_bytes});
}

absl::Status DiskBudget::CheckOwn(int64_t used_bytes, int64_t wanted_bytes) const {
  WATTLE_ASSIGN_OR_RETURN(const int64_t free_bytes, free_space(directory));
  if (free_bytes < wanted_bytes + reserve_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        directory, ": disk full: ", FormatBytes(wanted_bytes), " more and the ",
        FormatBytes(reserve_bytes), " kept free do not fit into ", FormatBytes(free_bytes),
        " free; free space on this file system or lower the reserve"));
  }
  if (quota_bytes > 0 && used_bytes + wanted_bytes > quota_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        directory, ": ", FormatBytes(wanted_bytes), " more do not fit into the quota of ",
        FormatBytes(quota_bytes), " beside ", FormatBytes(used_bytes),
        " of artifacts that are in use; raise the quota or wait for running jobs"));
  }
  return absl::OkStatus();
}

}  // namespace wattle::artifacts
