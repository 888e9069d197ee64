// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/rests_at_begin.h"

#include <vector>

#include "absl/time/time.h"

#include "coordinator/core/paused.h"
#include "coordinator/core/planning_internal.h"
#include "policy/held_back.h"
#include "policy/limits.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/sun/reserve_pauses.h"
#include "units/id.h"

namespace wattle::core {
namespace {

// The device, preceded by the boards that share its pack.
scheduler::Snapshot SnapshotOf(const State& state, const Observations& observations,
                               const DeviceId& device, const Instant& now) {
  scheduler::Snapshot snapshot = WithoutFleet(state, now.wall);
  const auto group_of = [&](const v1::DeviceRecord& record) {
    return scheduler::LimitsFor(snapshot.policies, record.info()).power_group;
  };
  const auto own = group_of(*FindDevice(state, device));
  std::vector<DeviceId> boards;
  if (own.has_value() && own->shared_pack) {
    for (const auto& [id, record] : state.devices) {
      if (id != device && !record.removed()) {
        const auto group = group_of(record);
        if (group.has_value() && group->name == own->name) {
          boards.push_back(id);
        }
      }
    }
  }
  boards.push_back(device);
  for (const DeviceId& id : boards) {
    snapshot.devices.push_back(ViewOf({state, observations, snapshot.policies, now}, id));
  }
  return snapshot;
}

}  // namespace

std::optional<double> RestSecondsAtBegin(const State& state, const Observations& observations,
                                         const v1::Attempt& attempt, const Instant& now) {
  const DeviceId device(attempt.device_id());
  // A board that reconnects reports begins that are past.
  if (attempt.after_attempt_id().empty() || !attempt.prediction().has_run_seconds() ||
      attempt.has_profile_point() || !IsCaughtUp(observations, device) ||
      !IsReachable(observations, device, now.monotonic)) {
    return std::nullopt;
  }
  const v1::JobSpec& spec = FindJob(state, JobId(attempt.job_id()))->job().spec();
  const scheduler::Snapshot snapshot = SnapshotOf(state, observations, device, now);
  const v1::Device& board = snapshot.devices.back().device;
  const std::vector<scheduler::DeviceLoad> loads = scheduler::InitialLoads(snapshot);
  v1::Prediction left = attempt.prediction();
  left.clear_fetch_seconds();
  const policy::Limits limits = scheduler::LimitsFor(snapshot.policies, board.info());
  const policy::SpecSteps steps = policy::StepsOf(spec);
  const std::optional<scheduler::PausableRun> run =
      scheduler::PausableRunOf({board, loads.back(), limits, steps, left});
  return run.has_value()
             ? std::optional(static_cast<double>(scheduler::ReservePauseOnceBegun(*run)))
             : std::nullopt;
}

}  // namespace wattle::core
