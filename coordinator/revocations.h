// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who was revoked, in a file beside the journal. An older backup does not know of later
// revocations: once it is restored, this file still does. Thread-safe.
#ifndef WATTLE_COORDINATOR_REVOCATIONS_H_
#define WATTLE_COORDINATOR_REVOCATIONS_H_

#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "coordinator/runtime/runtime.h"
#include "wattle/v1/access.pb.h"

namespace wattle {

// Within a data directory and a backup.
inline constexpr char kRevocationsFile[] = "revocations";

class Revocations {
 public:
  // Errors: kDataLoss names the line that is none; those of base/file.h. No file: nobody.
  static absl::StatusOr<std::unique_ptr<Revocations>> Open(const std::string& path);

  // Durable when it returns.
  absl::Status Keep(const v1::IdentityRecord& revoked) ABSL_LOCKS_EXCLUDED(mutex_);

  // Also those of another file, such as a backup's; fine where there is none.
  absl::Status KeepAllOf(const std::string& path) ABSL_LOCKS_EXCLUDED(mutex_);

  // Revokes again whom the journal has let in with the same key, and whom it does not know. Keeps
  // whom the journal alone knows as revoked. Returns how many were revoked again.
  absl::StatusOr<int> Agree(runtime::Runtime& runtime) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  explicit Revocations(std::string path) : path_(std::move(path)) {}
  absl::Status Write() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  absl::Mutex mutex_;
  std::set<std::string> lines_ ABSL_GUARDED_BY(mutex_);  // "KIND ID KEY-SHA256 REASON".
};

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_REVOCATIONS_H_
