// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One coordinator for each directory. LockFile holds an exclusive lock on a file for as long as it
// lives. The kernel releases the lock when the process ends in any way.
#ifndef WATTLE_COORDINATOR_STORE_LOCK_FILE_H_
#define WATTLE_COORDINATOR_STORE_LOCK_FILE_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace wattle::store {

class LockFile {
 public:
  // Takes the lock; makes the file if there is none. Errors: kFailedPrecondition when another
  // process holds the lock for a second (named); those of FileError when the file cannot be opened.
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
