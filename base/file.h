// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// File operations as Statuses: each error names the path, what was tried, why it failed and what to
// do. Thread-safe.
#ifndef WATTLE_BASE_FILE_H_
#define WATTLE_BASE_FILE_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle {

// error: an errno; what: "cannot write". "path: what: reason; remedy". kNotFound,
// kPermissionDenied, kResourceExhausted (disk or quota full), kAlreadyExists, else kInternal.
absl::Status FileError(int error, absl::string_view path, absl::string_view what);

// OK if the directory exists. The parent must exist, because a missing parent may be a disk that is
// not mounted.
absl::Status MakeDirectory(const std::string& path);
// Also makes missing parents; OK if the directory exists.
absl::Status MakeDirectories(const std::string& path);
// Makes renames and new names in it durable.
absl::Status SyncDirectory(const std::string& path);
// Makes the bytes written to the file durable.
absl::Status SyncFile(const std::string& path);
// Syncs a directory, all directories below it, and the files in them.
absl::Status SyncTree(const std::string& directory);
// Replaces an existing `to`; durable after SyncDirectory.
absl::Status RenameFile(const std::string& from, const std::string& to);

// The whole file as bytes; also for files of /proc, whose size is not known in advance. Refuses
// files over `limit_bytes` (kResourceExhausted), directories, and a missing file (kNotFound).
absl::StatusOr<std::string> ReadWholeFile(
    const std::string& path, int64_t limit_bytes = std::numeric_limits<int64_t>::max());

// The bytes of a line "NAME:   123 kB" in a file below /proc, such as MemTotal of /proc/meminfo or
// VmHWM of /proc/self/status. Errors: kNotFound for a file without such a line, and those of
// ReadWholeFile.
absl::StatusOr<int64_t> ReadKibibyteLine(const std::string& path, absl::string_view name);

}  // namespace wattle

#endif  // WATTLE_BASE_FILE_H_
