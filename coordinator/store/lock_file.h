// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One coordinator for each directory: an exclusive lock on a file, held for life. The kernel
// releases it when the process ends, however that happens.
#ifndef WATTLE_COORDINATOR_STORE_LOCK_FILE_H_
#define WATTLE_COORDINATOR_STORE_LOCK_FILE_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace wattle::store {

class LockFile {
 public:
  // Makes the file where there is none. Errors: kFailedPrecondition when another process holds it
  // (named); those of FileError when it cannot be opened.
  static absl::StatusOr<LockFile> Take(const std::string& path);
  LockFile(LockFile&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile();

 private:
  explicit LockFile(int file) : file_(file) {}
  int file_;
};

}  // namespace wattle::store

#endif  // WATTLE_COORDINATOR_STORE_LOCK_FILE_H_
