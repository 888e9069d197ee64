// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The parts of a snapshot, which a dry run assembles in its own way. Private to coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_PLANNING_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_PLANNING_INTERNAL_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/time/time.h"

#include "coordinator/core/paused.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "proto/peak_memory.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// A snapshot with only policies and profiles.
scheduler::Snapshot WithoutFleet(const State& state, absl::Time now);
// A snapshot with the fleet but without the queue, whose cost would grow with its length.
scheduler::Snapshot FleetOf(const State& state, const Observations& observations,
                            const Instant& now);
// One device, and how long its attempt keeps it busy.
scheduler::DeviceView ViewOf(const Outlook& outlook, const DeviceId& device);

// Excludes devices on which the job failed recently; none if that would exclude the whole fleet. A
// failure of an accelerator whose device also offers its cores excludes only the accelerator.
void AvoidFailures(const State& state, const Observations& observations, const v1::Job& job,
                   Monotonic now, scheduler::JobView& view);
// The job as the planner sees it: its work after the checkpoint that the coordinator has.
scheduler::JobView JobViewOf(const State& state, const Observations& observations,
                             const v1::JobRecord& record, const Instant& now);
// Peak memory of a runner for the spec.
PeakMemory PeakMemoryOf(const State& state, const PlanningInputs& inputs, const v1::JobSpec& spec,
                        const std::vector<scheduler::InputView>& views);

// The point of a profile job without any data: its first batch, a few steps.
v1::ProfilePoint AnyPointOf(const v1::JobSpec& spec);
// Whether a run of the profile job fits into the device's memory; empty if memory is not estimated.
std::function<bool(const v1::ProfilePoint&)> FitsOn(const State& state,
                                                    const PlanningInputs& inputs,
                                                    const scheduler::DeviceView& device,
                                                    const v1::JobSpec& spec,
                                                    const std::vector<scheduler::InputView>& views);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PLANNING_INTERNAL_H_
