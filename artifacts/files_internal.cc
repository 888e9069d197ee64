// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/files_internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace wattle::artifacts {
namespace {

// Writes until all is written; the errno of the first failure, else 0.
int WriteAll(int file, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

absl::Status FileError(int error, absl::string_view what, const std::string& path) {
  const std::string message =
      absl::StrCat(what, ": ", path, ": ", std::generic_category().message(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(
          absl::StrCat(message, "; free space on this file system and repeat"));
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(absl::StrCat(message, "; make it writable for this user"));
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return FileError(errno, "make directory", path);
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    return FileError(errno, "open directory", path);
  }
  const int error = fsync(directory) == 0 ? 0 : errno;
  close(directory);
  return error == 0 ? absl::OkStatus() : FileError(error, "sync directory", path);
}

absl::Status WriteNewFile(const std::string& path, absl::string_view bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (file < 0) {
    return FileError(errno, "create", path);
  }
  int error = WriteAll(file, bytes);
  if (error == 0 && fsync(file) != 0) {
    error = errno;
  }
  if (close(file) != 0 && error == 0) {
    error = errno;
  }
  if (error != 0) {
    unlink(path.c_str());
    return FileError(error, "write", path);
  }
  return absl::OkStatus();
}

absl::Status RenameFile(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return FileError(errno, "rename to", to);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return FileError(errno, "open", path);
  }
  struct stat status = {};
  std::string bytes;
  int error = fstat(file, &status) == 0 ? 0 : errno;
  if (error == 0) {
    bytes.resize(static_cast<size_t>(status.st_size));
  }
  size_t done = 0;
  while (error == 0 && done < bytes.size()) {
    const ssize_t got = read(file, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno != EINTR) {
      error = errno;
    } else if (got == 0) {
      bytes.resize(done);
    } else if (got > 0) {
      done += static_cast<size_t>(got);
    }
  }
  close(file);
  if (error != 0) {
    return FileError(error, "read", path);
  }
  return bytes;
}

}  // namespace wattle::artifacts
