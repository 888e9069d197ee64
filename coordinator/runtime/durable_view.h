// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The durable state, for readers. The commit thread publishes a version after each durable batch,
// so that no reader sees a change that a crash could undo. A version never changes: a reader takes
// one and reads it without a lock for as long as needed. Thread-safe.
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

  // Calls `look(const core::State&)` on the latest version and returns its result. The result must
  // be a value, because pointers into the state are invalid after the call.
  template <typename Look>
  auto Read(Look&& look) const {
    const std::shared_ptr<const core::State> version = Version();
    return std::forward<Look>(look)(*version);
  }

  // Publishes the state whose events are now durable.
  void Publish(core::State state) {
    auto next = std::make_shared<const core::State>(std::move(state));
    absl::MutexLock lock(&mutex_);
    version_.swap(next);  // The old version is destroyed after the lock is released.
  }

 private:
  mutable absl::Mutex mutex_;  // Held only to copy or replace the pointer.
  std::shared_ptr<const core::State> version_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_DURABLE_VIEW_H_
