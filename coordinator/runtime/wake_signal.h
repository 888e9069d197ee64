// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A periodic thread waits on a WakeSignal until it is woken, its interval ends, or it must stop.
// The interval is monotonic: steps of the wall clock do not change it, unlike waits of absl::Mutex,
// which use wall time. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_WAKE_SIGNAL_H_
#define WATTLE_COORDINATOR_RUNTIME_WAKE_SIGNAL_H_

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"

namespace wattle::runtime {

class WakeSignal {
 public:
  enum class Reason { kWoken, kTimeout, kStopped };

  // The current or the next WaitFor returns kWoken once.
  void Wake() {
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }
  // Every WaitFor from now on returns kStopped.
  void Stop() {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  Reason WaitFor(absl::Duration timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(timeout, absl::Hours(24 * 365))),
                      [this] { return woken_ || stopped_; });
    if (stopped_) {
      return Reason::kStopped;
    }
    const bool woken = woken_;
    woken_ = false;
    return woken ? Reason::kWoken : Reason::kTimeout;
  }
  [[nodiscard]] bool stopped() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return stopped_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool stopped_ = false;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_WAKE_SIGNAL_H_
