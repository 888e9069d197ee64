// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds the device that a dry run chooses, without other candidates and reasons: for many plans
// that differ by one change. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_CHOOSE_DEVICE_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_CHOOSE_DEVICE_H_

#include <optional>

#include "absl/status/statusor.h"

#include "scheduler/place/snapshot.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

// The candidate that PlanJob (place.h) chooses; nullopt: no device is feasible. Errors: those of
// PlanJob.
absl::StatusOr<std::optional<v1::Candidate>> ChooseDevice(const Snapshot& snapshot,
                                                          const JobView& job);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_CHOOSE_DEVICE_H_
