// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who was revoked, which boards wait for approval, and which tokens are revoked or spent, in a file
// beside the journal. An older backup knows nothing later: once it is restored, this file still
// does. Thread-safe.
#ifndef WATTLE_COORDINATOR_REVOCATIONS_H_
#define WATTLE_COORDINATOR_REVOCATIONS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "coordinator/revocation_lines.h"
#include "coordinator/runtime/runtime.h"

namespace wattle {

// Within a data directory and a backup.
inline constexpr char kRevocationsFile[] = "revocations";

class Revocations {
 public:
  // Errors: kDataLoss names the line that is none; those of base/file.h. No file: nobody.
  static absl::StatusOr<std::unique_ptr<Revocations>> Open(const std::string& path);

  // After a change of the journal: what it now says of a device, a person or, with
  // core::kTokenKind, a token. Durable when it returns.
  absl::Status Keep(const runtime::Runtime& runtime, const std::string& kind, const std::string& id)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Also those of another file, such as a backup's; fine where there is none.
  absl::Status KeepAllOf(const std::string& path) ABSL_LOCKS_EXCLUDED(mutex_);

  // What the journal lacks, because an older backup was restored, holds in it again when this
  // returns: whoever has the name of a later revocation is revoked, whatever their key. Keeps what
  // only the journal knows, and drops tokens that have ended. Returns how many lines of the file
  // hold again.
  absl::StatusOr<int> Agree(runtime::Runtime& runtime) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Lines = std::map<std::string, KeptLine>;  // By SubjectOf.

  explicit Revocations(std::string path) : path_(std::move(path)) {}
  static absl::StatusOr<Lines> ReadLines(const std::string& path);
  // One line holds in the journal again. False: it held.
  static absl::StatusOr<bool> HoldAgain(runtime::Runtime& runtime, const KeptLine& line);
  // The journal's state of a person, a board or a token replaces the lines about it.
  void Take(const core::State& state, absl::Time now, const v1::IdentityRecord& identity)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Take(absl::Time now, const v1::EnrolmentToken& token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Put(KeptLine line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(const std::string& subject) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes what has changed. Calls at the same time share one write: a thousand boards that enrol
  // wait for few.
  absl::Status Write() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string path_;
  absl::Mutex mutex_;
  Lines lines_ ABSL_GUARDED_BY(mutex_);
  int64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;  // Changes of the lines.
  int64_t written_ ABSL_GUARDED_BY(mutex_) = 0;  // Changes that are in the file.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_REVOCATIONS_H_
