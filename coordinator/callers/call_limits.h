// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How much one caller may ask of the coordinator, so that nobody's flood stops another's call:
// calls a second, where a large message counts as several, bytes of artifacts a second, and streams
// at once. A caller is an identity of the fleet on whatever connection, or the address of a
// stranger. Thread-safe.
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

// A request or an answer of so many bytes is in the call that brings it; each further part of it is
// a call. So a caller moves by calls no more a second than by transfers of artifacts.
inline constexpr int64_t kMessageBytesOfACall = int64_t{256} << 10;

class CallLimits {
 public:
  struct Most {
    double calls_per_second = 500;                // In the long run.
    double calls_at_once = 2'000;                 // Saved up by a caller that was quiet.
    int streams = 64;                             // Open at the same time.
    double bytes_per_second = 256.0 * (1 << 20);  // Of artifacts, both ways, in the long run.
    double bytes_at_once = 4.0 * (1 << 30);       // Saved up as calls are.
    // For so long after its end a caller's certificate may renew itself.
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
    Stream() = default;  // Of whom nobody counts, and whom nobody revokes.
    Stream(Stream&&) noexcept = default;
    Stream& operator=(Stream&&) = delete;
    ~Stream();
    // Ok until EndStreams ends the stream: its handler asks before each message.
    [[nodiscard]] absl::Status Goes() const;
    // For a handler without a thread of its own, which asks nobody while it waits: end is called
    // once EndStreams ends the stream, also where that was before.
    void OnEnd(std::function<void(const absl::Status& why)> end);

   private:
    friend class CallLimits;
    class Open;
    explicit Stream(std::shared_ptr<Open> open) : open_(std::move(open)) {}
    std::shared_ptr<Open> open_;
  };

  // Errors: kResourceExhausted.
  absl::Status TakeCall(const std::string& caller, Monotonic now);
  // A message of a call came, or is about to go. It is let through; calls that follow pay for it.
  void NoteMessage(const std::string& caller, int64_t bytes, Monotonic now);
  // cancel: ends a call that waits for its client; is not called once the stream is destroyed.
  // Empty: the stream's handler waits for nobody.
  absl::StatusOr<Stream> OpenStream(const std::string& caller, std::function<void()> cancel = {});
  // The caller was revoked. Streams that are opened from now on are for their opener to refuse.
  // Cancels those that still wait for their client after `patience`.
  void EndStreams(const std::string& caller, const absl::Status& why,
                  absl::Duration patience = absl::Milliseconds(600));
  // After bytes of an artifact came from the caller or went there: how long the transfer has to
  // wait before its next ones. No transfer is refused for them.
  absl::Duration TakeBytes(const std::string& caller, int64_t bytes, Monotonic now);

  // A connection was closed before anybody knew who calls.
  void NoteRefusedConnection() { ++refused_connections_; }
  void NoteBrokenConnection() { ++broken_connections_; }
  [[nodiscard]] Refusals refusals() const;
  [[nodiscard]] const Most& most() const { return most_; }
  // Every call that was refused for whatever reason, of all ports.
  [[nodiscard]] RefusedCalls& refused_calls() { return all_refused_; }

 private:
  // Of calls or of bytes: what may come at once, and how much of it a second gives back.
  struct Rate {
    double per_second = 0;
    double at_once = 0;
  };
  struct Bucket {
    double left = 0;  // That may come at once; below zero: what came too early.
    Monotonic filled;
  };
  using Buckets = std::map<std::string, Bucket>;
  struct Streams;

  // What the caller has by now.
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
