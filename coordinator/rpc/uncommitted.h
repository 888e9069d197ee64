// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How many bytes each caller sent and has not committed, so that they count against a quota like
// what is committed. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_UNCOMMITTED_H_
#define WATTLE_COORDINATOR_RPC_UNCOMMITTED_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::rpc {

class UncommittedBytes {
 public:
  // An upload with which its caller did not go on for so long is forgotten here.
  static constexpr absl::Duration kForgottenAfter = absl::Hours(24);
  static constexpr size_t kCallersMax = 10'000;  // Beyond it whoever sent the longest ago.

  [[nodiscard]] int64_t Of(const std::string& who, Monotonic now) const;
  // size_bytes: of a chunk that the store did not have.
  void NoteSent(const std::string& who, int64_t size_bytes, Monotonic now);
  // size_bytes: of an artifact that the state did not have, which counts it from now on.
  void NoteCommitted(const std::string& who, int64_t size_bytes);

 private:
  struct Sent {
    int64_t bytes = 0;
    Monotonic last;
  };
  mutable absl::Mutex mutex_;
  std::map<std::string, Sent> sent_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_UNCOMMITTED_H_
