// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/lock_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/exclusive_lock.h"
#include "base/file.h"

namespace wattle::store {

absl::StatusOr<LockFile> LockFile::Take(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (file < 0) {
    return FileError(errno, path, "cannot open");
  }
  LockFile lock(file);
  if (!TakeExclusiveLock(file)) {
    char holder[32] = {};
    const ssize_t size = pread(file, holder, sizeof(holder) - 1, 0);
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": another coordinator", size > 0 ? absl::StrCat(" (process ", holder, ")") : "",
        " uses this journal; stop it or give another directory"));
  }
  const std::string process = absl::StrCat(getpid());
  if (ftruncate(file, 0) != 0 || pwrite(file, process.data(), process.size(), 0) < 0) {
    // The process number is only for people. The lock holds without it.
  }
  return lock;
}

LockFile::~LockFile() {
  if (file_ >= 0) {
    close(file_);
  }
}

}  // namespace wattle::store
