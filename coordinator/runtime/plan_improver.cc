// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/plan_improver.h"

#include <utility>

#include "absl/time/time.h"

namespace wattle::runtime {

void PlanImprover::Offer(std::shared_ptr<const core::State> state, core::PlanToImprove plan) {
  {
    absl::MutexLock lock(&mutex_);
    offered_ = {std::move(state), std::move(plan)};
  }
  wake_.Wake();
}

std::optional<core::ImprovedPlan> PlanImprover::TakeAnswer() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(answer_, std::nullopt);
}

void PlanImprover::Run(const std::function<void()>& on_better) {
  while (wake_.WaitFor(absl::InfiniteDuration()) != WakeSignal::Reason::kStopped) {
    std::optional<Offered> offered;
    {
      absl::MutexLock lock(&mutex_);
      offered = std::exchange(offered_, std::nullopt);
    }
    if (!offered.has_value()) {
      continue;
    }
    core::ImprovedPlan answer = core::Improve(offered->plan);
    const bool is_better = !answer.places.empty();
    {
      absl::MutexLock lock(&mutex_);
      answer_ = std::move(answer);
    }
    if (is_better) {
      on_better();
    }
  }
}

}  // namespace wattle::runtime
