// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/file.h"
#include "base/status_macros.h"

namespace wattle {
namespace {

std::string PartialPath(const std::string& path) {
  return path + ".partial";
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Span<const std::byte> AsBytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace

absl::string_view FileOperationName(FileOperation operation) {
  switch (operation) {
    case FileOperation::kWrite:
      return "write";
    case FileOperation::kSync:
      return "sync";
    case FileOperation::kRename:
      return "rename";
    case FileOperation::kSyncDirectory:
      return "sync_directory";
  }
  return "";
}

DurableFile::DurableFile(std::string path, int descriptor, FileOperationObserver observer)
    : path_(std::move(path)), descriptor_(descriptor), observer_(std::move(observer)) {}

DurableFile::DurableFile(DurableFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(other.size_bytes_),
      observer_(std::move(other.observer_)) {}

DurableFile& DurableFile::operator=(DurableFile&& other) noexcept {
  if (this != &other) {
    Abandon();
    path_ = std::move(other.path_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    size_bytes_ = other.size_bytes_;
    observer_ = std::move(other.observer_);
  }
  return *this;
}

DurableFile::~DurableFile() {
  Abandon();
}

void DurableFile::Abandon() {
  if (descriptor_ >= 0) {
    close(descriptor_);
    descriptor_ = -1;
    unlink(PartialPath(path_).c_str());
  }
}

void DurableFile::Observe(FileOperation operation, FileOperationMoment moment) const {
  if (observer_) {
    observer_(operation, moment, path_);
  }
}

absl::StatusOr<DurableFile> DurableFile::Create(const std::string& path,
                                                FileOperationObserver observer, mode_t mode) {
  const int descriptor =
      open(PartialPath(path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (descriptor < 0) {
    return FileError(errno, path, "cannot create the file");
  }
  DurableFile file(path, descriptor, std::move(observer));
  // A partial file left by a crash keeps its old mode.
  if (mode != kReadableByAll && fchmod(descriptor, mode) != 0) {
    return FileError(errno, path, "cannot be made private");
  }
  return file;
}

absl::Status DurableFile::WriteAt(int64_t offset_bytes, absl::Span<const std::byte> bytes) {
  if (descriptor_ < 0) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": the file is already closed"));
  }
  Observe(FileOperation::kWrite, FileOperationMoment::kBefore);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                                   offset_bytes + static_cast<int64_t>(done));
    if (written < 0 && errno != EINTR) {
      return FileError(errno, path_, "cannot write");
    }
    done += written < 0 ? 0 : static_cast<size_t>(written);
  }
  size_bytes_ = std::max(size_bytes_, offset_bytes + static_cast<int64_t>(bytes.size()));
  Observe(FileOperation::kWrite, FileOperationMoment::kAfter);
  return absl::OkStatus();
}

absl::Status DurableFile::Append(absl::Span<const std::byte> bytes) {
  return WriteAt(size_bytes_, bytes);
}

absl::Status DurableFile::Append(absl::string_view bytes) {
  return Append(AsBytes(bytes));
}

absl::Status DurableFile::Commit() {
  if (descriptor_ < 0) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": the file is already closed"));
  }
  Observe(FileOperation::kSync, FileOperationMoment::kBefore);
  if (fsync(descriptor_) != 0) {
    const int error = errno;
    Abandon();
    return FileError(error, path_, "cannot write to disk");
  }
  Observe(FileOperation::kSync, FileOperationMoment::kAfter);
  Observe(FileOperation::kRename, FileOperationMoment::kBefore);
  if (rename(PartialPath(path_).c_str(), path_.c_str()) != 0) {
    const int error = errno;
    Abandon();
    return FileError(error, path_, "cannot put the file in place");
  }
  const int closed = close(std::exchange(descriptor_, -1));
  Observe(FileOperation::kRename, FileOperationMoment::kAfter);
  if (closed != 0) {
    return FileError(errno, path_, "cannot close");
  }
  Observe(FileOperation::kSyncDirectory, FileOperationMoment::kBefore);
  WATTLE_RETURN_IF_ERROR(SyncDirectory(DirectoryOf(path_)));
  Observe(FileOperation::kSyncDirectory, FileOperationMoment::kAfter);
  return absl::OkStatus();
}

absl::Status WriteFileDurably(const std::string& path, absl::string_view content,
                              FileOperationObserver observer, mode_t mode) {
  WATTLE_ASSIGN_OR_RETURN(DurableFile file, DurableFile::Create(path, std::move(observer), mode));
  WATTLE_RETURN_IF_ERROR(file.Append(content));
  return file.Commit();
}

}  // namespace wattle
