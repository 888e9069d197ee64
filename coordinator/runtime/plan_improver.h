// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The thread that searches for a better plan until the next one is made. At most one plan is in
// work and one waits; a newer plan replaces the waiting one. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_PLAN_IMPROVER_H_
#define WATTLE_COORDINATOR_RUNTIME_PLAN_IMPROVER_H_

#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "coordinator/core/standing_plan.h"
#include "coordinator/core/state.h"
#include "coordinator/runtime/wake_signal.h"

namespace wattle::runtime {

class PlanImprover {
 public:
  // state: the state of the snapshot, whose profiles point into it.
  void Offer(std::shared_ptr<const core::State> state, core::PlanToImprove plan);
  // The latest answer; nullopt: none since the last call.
  std::optional<core::ImprovedPlan> TakeAnswer();
  // Works until Stop. on_better: called after each answer that is cheaper than its plan.
  void Run(const std::function<void()>& on_better);
  void Stop() { wake_.Stop(); }

 private:
  struct Offered {
    std::shared_ptr<const core::State> state;
    core::PlanToImprove plan;
  };
  WakeSignal wake_;
  absl::Mutex mutex_;
  std::optional<Offered> offered_ ABSL_GUARDED_BY(mutex_);
  std::optional<core::ImprovedPlan> answer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_PLAN_IMPROVER_H_
