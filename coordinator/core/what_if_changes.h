// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Changes that would make another device the choice of a dry run: another batch, a later deadline,
// int8 or int4 where memory refuses, a lower reserve, another power mode, another board's profile.
// Every change is planned on the same snapshot by the same planner, and is reported only if that
// plan chooses the device. Pure.
#ifndef WATTLE_COORDINATOR_CORE_WHAT_IF_CHANGES_H_
#define WATTLE_COORDINATOR_CORE_WHAT_IF_CHANGES_H_

#include <functional>

#include "absl/status/statusor.h"

#include "scheduler/place/snapshot.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// The dry run's job with another spec. Errors: submit would refuse the changed job.
using JobWithSpec = std::function<absl::StatusOr<scheduler::JobView>(const v1::JobSpec& spec)>;

// Adds would_win_if to the candidates that are not the plan's choice. plan: that of `job` on the
// snapshot. The number of plans and of evaluated devices is bounded, and the order is fixed, so
// that equal requests give equal answers; changes beyond the bound are not reported.
void AddWhatIfChanges(const scheduler::Snapshot& snapshot, const scheduler::JobView& job,
                      const JobWithSpec& with_spec, v1::PlanResponse& plan);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_WHAT_IF_CHANGES_H_
