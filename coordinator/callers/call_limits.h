// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Limits the load of one caller, so that no caller's flood blocks another's call: calls per second,
// where a large message counts as several, bytes of artifacts per second, and open streams. A
// caller is an identity of the fleet on any connection, or the address of a stranger. Thread-safe.
#ifndef WATTLE_COORDINATOR_CALLERS_CALL_LIMITS_H_
#define WATTLE_COORDINATOR_CALLERS_CALL_LIMITS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "coordinator/callers/refused_calls.h"
#include "coordinator/core/certificate_age.h"

namespace wattle::callers {

// A call includes this many bytes of its request or answer; each further part of this size counts
// as another call. Calls therefore move no more bytes per second than transfers of artifacts.
inline constexpr int64_t kMessageBytesOfACall = int64_t{256} << 10;

class CallLimits {
 public:
  struct Most {
    double calls_per_second = 500;                // In the long run.
    double calls_at_once = 2'000;                 // Burst of a caller that was quiet.
    int streams = 64;                             // Open streams at the same time.
    double bytes_per_second = 256.0 * (1 << 20);  // Artifact bytes in both directions, in the long
                                                  // run.
    double bytes_at_once = 4.0 * (1 << 30);       // Burst of bytes.
    // How long after its end a caller's certificate may still renew itself.
    absl::Duration renew_after_expiry = core::kRenewAfterExpiry;
  };
  struct Refusals {
    uint64_t calls = 0;
    uint64_t streams = 0;
    uint64_t waits_for_bytes = 0;  // Delayed, not refused.
    uint64_t connections = 0;
    uint64_t broken_connections = 0;  // Ended because of what the caller sent in them.
    uint64_t for_any_reason = 0;      // Calls.
  };

  CallLimits() : CallLimits(Most()) {}
  explicit CallLimits(const Most& most);
  CallLimits(const CallLimits&) = delete;
  CallLimits& operator=(const CallLimits&) = delete;

  // An open stream of a caller, until it is destroyed. Holds the limits' counts alive. Thread-safe.
  class Stream {
   public:
    Stream() = default;  // For a caller that is neither counted nor revoked.
    Stream(Stream&&) noexcept = default;
    Stream& operator=(Stream&&) = delete;
    ~Stream();
    // OK until EndStreams ends the stream; the handler checks before each message.
    [[nodiscard]] absl::Status Goes() const;
    // For a handler without a thread of its own, which cannot check while it waits: `end` is called
    // once EndStreams ends the stream, also if that already happened.
    void OnEnd(std::function<void(const absl::Status& why)> end);

   private:
    friend class CallLimits;
    class Open;
    explicit Stream(std::shared_ptr<Open> open) : open_(std::move(open)) {}
    std::shared_ptr<Open> open_;
  };

  // Errors: kResourceExhausted.
  absl::Status TakeCall(const std::string& caller, Monotonic now);
  // A message of a call arrived or is about to be sent. The message always passes; later calls pay
  // for it.
  void NoteMessage(const std::string& caller, int64_t bytes, Monotonic now);
  // cancel: ends a call that waits for its client; is not called once the stream is destroyed.
  // Empty: the stream's handler waits for no client.
  absl::StatusOr<Stream> OpenStream(const std::string& caller, std::function<void()> cancel = {});
  // Ends the streams of a revoked caller. The opener must refuse new streams of this caller itself.
  // Cancels streams that still wait for their client after `patience`.
  void EndStreams(const std::string& caller, const absl::Status& why,
                  absl::Duration patience = absl::Milliseconds(600));
  // Counts artifact bytes from or to the caller, and returns how long the transfer must wait before
  // its next bytes. No transfer is refused for them.
  absl::Duration TakeBytes(const std::string& caller, int64_t bytes, Monotonic now);

  // A connection was closed before its caller was known.
  void NoteRefusedConnection() { ++refused_connections_; }
  void NoteBrokenConnection() { ++broken_connections_; }
  [[nodiscard]] Refusals refusals() const;
  [[nodiscard]] const Most& most() const { return most_; }
  // Every call refused for any reason, on all ports.
  [[nodiscard]] RefusedCalls& refused_calls() { return all_refused_; }

 private:
  // A token bucket for calls or bytes: its size, and the refill per second.
  struct Rate {
    double per_second = 0;
    double at_once = 0;
  };
  struct Bucket {
    double left = 0;  // Remaining burst; negative: debt of earlier use.
    Monotonic filled;
  };
  using Buckets = std::map<std::string, Bucket>;
  struct Streams;

  // The caller's remaining burst at `now`.
  static double& LeftOf(const std::string& caller, const Rate& rate, Monotonic now,
                        Buckets& buckets);

  const Most most_;
  const std::shared_ptr<Streams> streams_;
  mutable absl::Mutex mutex_;
  Buckets calls_ ABSL_GUARDED_BY(mutex_);
  Buckets bytes_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> refused_calls_ = 0;
  std::atomic<uint64_t> refused_streams_ = 0;
  std::atomic<uint64_t> waits_for_bytes_ = 0;
  std::atomic<uint64_t> refused_connections_ = 0;
  std::atomic<uint64_t> broken_connections_ = 0;
  RefusedCalls all_refused_;
};

}  // namespace wattle::callers

#endif  // WATTLE_COORDINATOR_CALLERS_CALL_LIMITS_H_
