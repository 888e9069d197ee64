// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/store_copy.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

#include "artifacts/new_file_internal.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::artifacts {
namespace {

namespace fs = std::filesystem;

absl::Status LinkOrCopy(const fs::path& from, const fs::path& to) {
  if (link(from.c_str(), to.c_str()) == 0 || errno == EEXIST) {
    return absl::OkStatus();  // A store's files never change, so an existing file is identical.
  }
  absl::StatusOr<std::string> bytes = ReadWholeFile(from.string());
  if (absl::IsNotFound(bytes.status())) {
    return absl::OkStatus();  // Evicted meanwhile.
  }
  WATTLE_RETURN_IF_ERROR(bytes.status());
  return WriteNewFile(to.string(), *bytes);
}

absl::Status CopyTree(const fs::path& from, const fs::path& to) {
  WATTLE_RETURN_IF_ERROR(MakeDirectory(to.string()));
  std::error_code error;
  for (auto it = fs::directory_iterator(from, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const fs::path target = to / it->path().filename();
    if (it->is_directory(error)) {
      WATTLE_RETURN_IF_ERROR(CopyTree(it->path(), target));
    } else {
      WATTLE_RETURN_IF_ERROR(LinkOrCopy(it->path(), target));
    }
  }
  if (error) {
    return FileError(error.value(), from.string(), "cannot list");
  }
  return SyncDirectory(to.string());
}

absl::Status CopyFolders(const fs::path& from, const fs::path& to,
                         const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    WATTLE_RETURN_IF_ERROR(CopyTree(from / folder, to / folder));
  }
  return SyncDirectory(to.string());
}

}  // namespace

absl::Status CopyStore(const std::string& from, const std::string& to) {
  std::error_code error;
  if (fs::exists(to, error)) {
    return absl::AlreadyExistsError(absl::StrCat(to, ": exists; give a path that does not"));
  }
  WATTLE_RETURN_IF_ERROR(MakeDirectory(to));
  // Manifests first: chunks exist before their manifest, so the chunks found later are enough.
  return CopyFolders(from, to, {"manifests", "pins", "chunks"});
}

absl::Status AddStore(const std::string& from, const std::string& to) {
  WATTLE_RETURN_IF_ERROR(MakeDirectory(to));
  // Chunks first: no process writes to `from`, and a manifest in `to` guarantees that its chunks
  // exist.
  return CopyFolders(from, to, {"chunks", "pins", "manifests"});
}

}  // namespace wattle::artifacts
