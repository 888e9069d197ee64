// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How much one caller may ask of the coordinator, so that nobody's flood stops another's call:
// calls a second, and streams at once. A caller is an identity of the fleet on whatever connection,
// or the address of a stranger. Thread-safe.
#ifndef WATTLE_COORDINATOR_CALLERS_CALL_LIMITS_H_
#define WATTLE_COORDINATOR_CALLERS_CALL_LIMITS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/clock.h"
#include "coordinator/callers/refused_calls.h"

namespace wattle::callers {

class CallLimits {
 public:
  struct Most {
    double calls_per_second = 500;  // In the long run.
    double calls_at_once = 2'000;   // Saved up by a caller that was quiet.
    int streams = 64;               // Open at the same time.
  };
  struct Refusals {
    uint64_t calls = 0;
    uint64_t streams = 0;
    uint64_t connections = 0;
    uint64_t for_any_reason = 0;  // Calls.
  };

  CallLimits() : CallLimits(Most()) {}
  explicit CallLimits(const Most& most) : most_(most) {}
  CallLimits(const CallLimits&) = delete;
  CallLimits& operator=(const CallLimits&) = delete;

  // An open stream of a caller, until it is destroyed. Holds the limits' counts alive.
  using Stream = std::shared_ptr<void>;

  // Errors: kResourceExhausted.
  absl::Status TakeCall(const std::string& caller, Monotonic now);
  absl::StatusOr<Stream> OpenStream(const std::string& caller);

  // A connection was closed before anybody knew who calls.
  void NoteRefusedConnection() { ++refused_connections_; }
  [[nodiscard]] Refusals refusals() const;
  // Every call that was refused for whatever reason, of all ports.
  [[nodiscard]] RefusedCalls& refused_calls() { return all_refused_; }

 private:
  struct Bucket {
    double calls = 0;  // That may come at once.
    Monotonic filled;
  };
  struct Streams {
    absl::Mutex mutex;
    std::map<std::string, int> open ABSL_GUARDED_BY(mutex);
  };

  void ForgetQuiet(Monotonic now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Most most_;
  const std::shared_ptr<Streams> streams_ = std::make_shared<Streams>();
  mutable absl::Mutex mutex_;
  std::map<std::string, Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> refused_calls_ = 0;
  std::atomic<uint64_t> refused_streams_ = 0;
  std::atomic<uint64_t> refused_connections_ = 0;
  RefusedCalls all_refused_;
};

}  // namespace wattle::callers

#endif  // WATTLE_COORDINATOR_CALLERS_CALL_LIMITS_H_
