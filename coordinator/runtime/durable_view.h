// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The state as the journal has it: what readers see. The commit thread applies the events of each
// batch after it is durable, so that nobody is shown what a crash could take back. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_DURABLE_VIEW_H_
#define WATTLE_COORDINATOR_RUNTIME_DURABLE_VIEW_H_

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

#include "coordinator/core/core.h"
#include "coordinator/core/state.h"

namespace wattle::runtime {

class DurableView {
 public:
  explicit DurableView(core::State state) : state_(std::move(state)) {}

  // Calls `look(const core::State&)` and returns its result, which must be a value: pointers into
  // the state do not outlive the call. `look` must neither block nor come back here.
  template <typename Look>
  auto Read(Look&& look) const {
    absl::ReaderMutexLock lock(&mutex_);
    return std::forward<Look>(look)(state_);
  }

  // Applies durable events. Their effects were told by the shell, which applied them first.
  void Apply(absl::Span<const v1::Event> events, Monotonic now) {
    absl::WriterMutexLock lock(&mutex_);
    for (const v1::Event& event : events) {
      core::Apply(state_, event, now);
    }
  }

 private:
  mutable absl::Mutex mutex_;
  core::State state_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_DURABLE_VIEW_H_
