// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The state as the journal has it: what readers see. The commit thread publishes a version after
// each durable batch, so that nobody is shown what a crash could take back. A version never
// changes: whoever takes one reads it without a lock, for as long as it likes. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_DURABLE_VIEW_H_
#define WATTLE_COORDINATOR_RUNTIME_DURABLE_VIEW_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "coordinator/core/state.h"

namespace wattle::runtime {

class DurableView {
 public:
  explicit DurableView(core::State state)
      : version_(std::make_shared<const core::State>(std::move(state))) {}

  [[nodiscard]] std::shared_ptr<const core::State> Version() const {
    absl::MutexLock lock(&mutex_);
    return version_;
  }

  // Calls `look(const core::State&)` on the latest version and returns its result, which must be a
  // value: pointers into the state do not outlive the call.
  template <typename Look>
  auto Read(Look&& look) const {
    const std::shared_ptr<const core::State> version = Version();
    return std::forward<Look>(look)(*version);
  }

  // The state after events that are durable now.
  void Publish(core::State state) {
    auto next = std::make_shared<const core::State>(std::move(state));
    absl::MutexLock lock(&mutex_);
    version_.swap(next);  // The old one, where this was its last owner, is dropped after the lock.
  }

 private:
  mutable absl::Mutex mutex_;  // Held to copy or to replace the pointer, no longer.
  std::shared_ptr<const core::State> version_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_DURABLE_VIEW_H_
