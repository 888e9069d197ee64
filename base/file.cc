// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "base/status_macros.h"

namespace wattle {
namespace {

constexpr size_t kReadBytes = 1 << 16;

// Reads an open file to its end.
absl::StatusOr<std::string> ReadDescriptor(int descriptor, const std::string& path,
                                           int64_t limit_bytes) {
  struct stat about = {};
  if (fstat(descriptor, &about) != 0) {
    return FileError(errno, path, "cannot open");
  }
  if (!S_ISREG(about.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a regular file; give the path of a file"));
  }
  const auto too_large = [&](int64_t size_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": ", size_bytes, " bytes, at most ",
                                                     limit_bytes, " are read; split the file"));
  };
  if (about.st_size > limit_bytes) {
    return too_large(about.st_size);
  }
  const auto known = static_cast<size_t>(about.st_size) + 1;  // One byte more detects the end.
  std::string content;
  while (true) {
    const size_t before = content.size();
    content.resize(before < known ? known : before + kReadBytes);
    const ssize_t count = read(descriptor, content.data() + before, content.size() - before);
    const int error = errno;
    content.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && error != EINTR) {
      return FileError(error, path, "cannot read");
    }
    if (static_cast<int64_t>(content.size()) > limit_bytes) {
      return too_large(static_cast<int64_t>(content.size()));
    }
    if (count == 0) {
      return content;
    }
  }
}

}  // namespace

absl::Status FileError(int error, absl::string_view path, absl::string_view what) {
  const std::string reason = std::generic_category().message(error);
  const std::string start = absl::StrCat(path, ": ", what, ": ");
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(absl::StrCat(start, "no such file or directory; check the path"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat(start, reason, "; check the owner and the permissions"));
    case EROFS:
      return absl::PermissionDeniedError(
          absl::StrCat(start, reason, "; see why in dmesg, and mount it for writing again"));
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(
          absl::StrCat(start, reason, "; free space on that file system and try again"));
    case EEXIST:
      return absl::AlreadyExistsError(absl::StrCat(start, reason, "; choose another path"));
    default:
      return absl::InternalError(absl::StrCat(start, reason, "; check the disk"));
  }
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return FileError(errno, path, "cannot make the directory");
  }
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return error ? FileError(error.value(), path, "cannot make the directory") : absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    return FileError(errno, path, "cannot open the directory");
  }
  const int error = fsync(descriptor) == 0 ? 0 : errno;
  close(descriptor);
  return error == 0 ? absl::OkStatus()
                    : FileError(error, path, "cannot write the directory to disk");
}

absl::Status SyncFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return FileError(errno, path, "cannot open");
  }
  const int error = fsync(file) == 0 ? 0 : errno;
  close(file);
  return error == 0 ? absl::OkStatus() : FileError(error, path, "cannot write");
}

absl::Status SyncTree(const std::string& directory) {
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(directory, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    const std::string path = it->path().string();
    if (it->is_directory(error)) {
      WATTLE_RETURN_IF_ERROR(SyncDirectory(path));
      continue;
    }
    WATTLE_RETURN_IF_ERROR(SyncFile(path));
  }
  return error ? FileError(error.value(), directory, "cannot list") : SyncDirectory(directory);
}

absl::Status RenameFile(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return FileError(errno, to, "cannot rename to it");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, int64_t limit_bytes) {
  // A FIFO is opened without waiting for its writer, and then refused as no regular file.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return FileError(errno, path, "cannot open");
  }
  absl::StatusOr<std::string> content = ReadDescriptor(descriptor, path, limit_bytes);
  close(descriptor);
  return content;
}

absl::StatusOr<int64_t> ReadKibibyteLine(const std::string& path, absl::string_view name) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path);
  if (!text.ok()) {
    return text.status();
  }
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int64_t kibibytes = 0;
    if (absl::ConsumePrefix(&line, name) && absl::ConsumePrefix(&line, ":") &&
        absl::ConsumeSuffix(&line, " kB") && absl::SimpleAtoi(line, &kibibytes)) {
      return kibibytes * 1024;
    }
  }
  return absl::NotFoundError(absl::StrCat(path, ": no line \"", name, ": … kB\""));
}

}  // namespace wattle
