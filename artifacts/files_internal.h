// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// File operations of the store, each a Status with the path and the remedy. Thread-safe.
#ifndef WATTLE_ARTIFACTS_FILES_INTERNAL_H_
#define WATTLE_ARTIFACTS_FILES_INTERNAL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::artifacts {

// `error` is an errno. "what: path: reason; remedy". ENOSPC and EDQUOT are kResourceExhausted.
absl::Status FileError(int error, absl::string_view what, const std::string& path);

absl::Status MakeDirectory(const std::string& path);  // Fine where it exists.
absl::Status SyncDirectory(const std::string& path);

// Creates `path` (it must not exist), writes and fsyncs it, read-only for everybody. What fails
// leaves nothing behind.
absl::Status WriteNewFile(const std::string& path, absl::string_view bytes);
absl::Status RenameFile(const std::string& from, const std::string& to);
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_FILES_INTERNAL_H_
