// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A file that exists whole or not at all. Bytes go to "<path>.partial"; Commit() syncs it, renames
// it over <path> and syncs the directory. An object destroyed without Commit() leaves no partial
// file. One thread owns an object. An observer sees every file operation before and after it
// happens: the tests that kill a process at each of them (checkpoints) hang there.
#ifndef WATTLE_BASE_DURABLE_FILE_H_
#define WATTLE_BASE_DURABLE_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle {

enum class FileOperation { kWrite, kSync, kRename, kSyncDirectory };
enum class FileOperationMoment { kBefore, kAfter };

// "write", "sync", "rename", "sync_directory".
absl::string_view FileOperationName(FileOperation operation);

// path: the final path, not the partial one. May end the process; must not throw.
using FileOperationObserver = std::function<void(
    FileOperation operation, FileOperationMoment moment, const std::string& path)>;

inline constexpr mode_t kReadableByAll = 0644;

class DurableFile {
 public:
  // Creates "<path>.partial", replacing a partial file left by a crash. observer: may be empty.
  // mode: of the file from its first byte on; kReadableByAll within the umask. Errors: kNotFound
  // (no such directory), kPermissionDenied, kResourceExhausted (disk full), kInternal.
  static absl::StatusOr<DurableFile> Create(const std::string& path,
                                            FileOperationObserver observer = {},
                                            mode_t mode = kReadableByAll);

  DurableFile(DurableFile&& other) noexcept;
  DurableFile& operator=(DurableFile&& other) noexcept;
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;
  ~DurableFile();

  // Writes all of `bytes` at the end. kResourceExhausted: "...: no space left on device; free space
  // or ...".
  absl::Status Append(absl::Span<const std::byte> bytes);
  absl::Status Append(absl::string_view bytes);
  // Writes all of `bytes` at `offset_bytes` from the start, in any order.
  absl::Status WriteAt(int64_t offset_bytes, absl::Span<const std::byte> bytes);
  // fsync, rename, fsync of the directory. Afterwards the object is closed, whatever Commit
  // returns.
  absl::Status Commit();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int64_t size_bytes() const { return size_bytes_; }

 private:
  DurableFile(std::string path, int descriptor, FileOperationObserver observer);
  void Abandon();
  void Observe(FileOperation operation, FileOperationMoment moment) const;

  std::string path_;
  int descriptor_;  // -1 once committed, abandoned or moved from.
  int64_t size_bytes_ = 0;
  FileOperationObserver observer_;
};

// One call for a small file: Create, Append, Commit.
absl::Status WriteFileDurably(const std::string& path, absl::string_view content,
                              FileOperationObserver observer = {}, mode_t mode = kReadableByAll);

}  // namespace wattle

#endif  // WATTLE_BASE_DURABLE_FILE_H_
