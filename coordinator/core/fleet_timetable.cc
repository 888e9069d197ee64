// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/fleet_timetable.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/queueing.h"
#include "policy/guard_reason.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/place.h"
#include "scheduler/place/queue/start_spans.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/sun/reserve_pauses.h"
#include "scheduler/place/sun/sun_outlook.h"
#include "scheduler/timetable/pack.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::core {
namespace {

constexpr double kHorizonSecondsMin = 3600;
constexpr double kHorizonSecondsMax = 3600.0 * scheduler::kSunHours;
constexpr double kHorizonSecondsUnsaid = 48 * 3600;

double UnixSeconds(absl::Time moment) {
  return absl::ToDoubleSeconds(moment - absl::UnixEpoch());
}

struct Moments {
  absl::Time now;
  absl::Time started;  // Start of this coordinator.
};

// "unreachable for 3 h 05 min". A board with a copied identity is refused when it connects, and its
// problem gives the reason.
std::string WhyWithoutContact(const v1::Device& device, const Moments& at) {
  const bool seen = device.last_seen_unix_seconds() > 0;
  const absl::Time since =
      seen ? absl::UnixEpoch() + absl::Seconds(device.last_seen_unix_seconds()) : at.started;
  const std::string elapsed = FormatElapsed(std::max(absl::Seconds(1), at.now - since));
  return absl::StrCat(device.unreachable() ? "unreachable" : "not connected",
                      seen ? absl::StrCat(" for ", elapsed)
                           : absl::StrCat(" since the coordinator's start, ", elapsed, " ago"),
                      device.problem().empty() ? "" : absl::StrCat(": ", device.problem()));
}

// Why the device refuses every job at this moment; empty: it does not.
std::string TakesNoneBecause(const v1::Device& device, const policy::Limits& limits,
                             const Moments& at) {
  const v1::Heartbeat& heartbeat = device.heartbeat();
  std::vector<std::string> reasons;
  if (device.info().engine_version().empty()) {
    reasons.emplace_back("has no engine; install wattle-runner beside its worker");
  }
  if (device.drained()) {
    reasons.push_back(device.drain_reason().empty()
                          ? "drained"
                          : absl::StrCat("drained: ", device.drain_reason()));
  }
  if (device.unreachable() || !device.connected()) {
    reasons.push_back(WhyWithoutContact(device, at));
    return absl::StrJoin(reasons, "; ");  // Its last heartbeat is too old to describe the present.
  }
  if (device.waits_for_approval()) {
    reasons.push_back(device.problem());
  }
  for (const std::string& problem : {heartbeat.storage_problem(), heartbeat.memory_problem()}) {
    if (!problem.empty()) {
      reasons.push_back(problem);
    }
  }
  if (heartbeat.owner_hold_seconds() > 0) {
    reasons.push_back(absl::StrCat("held by its owner for ",
                                   FormatElapsed(absl::Seconds(heartbeat.owner_hold_seconds()))));
  }
  if (!limits.unreadable.empty()) {
    reasons.push_back(absl::StrCat("its policies cannot be kept: ", limits.unreadable));
  }
  if (policy::IsWeakSupply(heartbeat.guard_reason())) {
    reasons.push_back(heartbeat.guard_reason());
  } else if (!heartbeat.guard_reason().empty() && limits.any()) {
    reasons.push_back(absl::StrCat("held by policy: ", heartbeat.guard_reason()));
  }
  return absl::StrJoin(reasons, "; ");
}

void SetRest(double seconds, v1::TimetableEntry& entry) {
  if (seconds >= scheduler::kRestToTellSeconds) {
    entry.set_rest_seconds(seconds);
  }
}

// An attempt that the plan moves from its board, and the place of its rest.
struct LeavingAttempt {
  absl::Time leaves;
  std::string why;
  JobId job;
  DeviceId device;  // For the rest.
  absl::Time begin;
  absl::Time end;
  std::string rest_waits_for;
};
using LeavingAttempts = std::map<AttemptId, LeavingAttempt>;

LeavingAttempts LeavingIn(const State& state, const scheduler::Snapshot& snapshot,
                          const scheduler::QueuePlan& plan) {
  LeavingAttempts leaving;
  std::map<AttemptId, const scheduler::QueuePlacement*> for_deadlines;
  for (const scheduler::QueuePlacement& placed : plan.jobs) {
    if (!placed.releases.value().empty()) {
      for_deadlines[placed.releases] = &placed;
    }
  }
  for (size_t i = 0; i < snapshot.devices.size() && !for_deadlines.empty(); ++i) {
    const std::optional<scheduler::ReleasableAttempt>& attempt = snapshot.devices[i].releasable;
    const auto placed = attempt ? for_deadlines.find(attempt->id) : for_deadlines.end();
    if (placed != for_deadlines.end()) {
      const v1::Candidate& first = placed->second->placement.best(0);
      leaving[attempt->id] = {
          .leaves = snapshot.now + attempt->hand_over,
          .why = absl::StrCat("leaves for the deadline of ", placed->second->job.value()),
          .job = attempt->job,
          .device = DeviceId(snapshot.devices[i].device.info().device_id()),
          .begin = snapshot.now + absl::Seconds(first.finish_in_seconds()),
          .end = plan.free_at[i],
          .rest_waits_for = "goes on from its checkpoint, here or elsewhere"};
    }
  }
  for (const scheduler::GainfulMove& move : plan.moves) {
    const v1::Attempt* const attempt = FindAttempt(state, move.attempt);
    leaving[move.attempt] = {
        .leaves = move.leaves,
        .why = move.reason,
        .job = JobId(attempt->job_id()),
        .device = move.device,
        .begin = move.begin,
        .end = move.end,
        .rest_waits_for = absl::StrCat("moves from ", DeviceName(state, attempt->device_id()))};
  }
  return leaving;
}

v1::TimetableEntry EntryOf(const LeavingAttempt& rest) {
  v1::TimetableEntry entry;
  entry.set_job_id(rest.job.value());
  entry.set_begin_unix_seconds(UnixSeconds(rest.begin));
  entry.set_end_unix_seconds(UnixSeconds(rest.end));
  entry.set_waits_for(rest.rest_waits_for);
  return entry;
}

struct Running {
  absl::Time now;
  absl::Time ends;  // End of the attempt with its rests, which the view does not include.
  std::optional<scheduler::TimeSpan> span;  // Span of that end.
  const LeavingAttempts& leaving;
};

void AddRunning(const State& state, const scheduler::DeviceView& view, const Running& at,
                v1::DeviceTimetable& device) {
  const v1::Attempt* const attempt =
      FindAttempt(state, AttemptId(view.device.running_attempt_id()));
  if (attempt == nullptr) {
    return;
  }
  v1::TimetableEntry& entry = *device.add_entries();
  entry.set_job_id(attempt->job_id());
  entry.set_attempt_id(attempt->attempt_id());
  entry.set_begin_unix_seconds(UnixSeconds(at.now));
  entry.set_end_unix_seconds(UnixSeconds(at.ends));
  if (at.span.has_value()) {
    entry.set_end_low_unix_seconds(UnixSeconds(at.span->low));
    entry.set_end_high_unix_seconds(UnixSeconds(at.span->high));
  }
  entry.set_waits_for(attempt->released() && !attempt->reason().empty()
                          ? absl::StrCat(view.waits_for, ": ", attempt->reason())
                          : view.waits_for);
  if (const auto leaves = at.leaving.find(AttemptId(attempt->attempt_id()));
      leaves != at.leaving.end()) {
    entry.set_end_unix_seconds(UnixSeconds(leaves->second.leaves));
    entry.clear_end_low_unix_seconds();
    entry.clear_end_high_unix_seconds();
    entry.set_waits_for(leaves->second.why);
  } else if (view.rests_at_reserve.has_value()) {
    SetRest(absl::ToDoubleSeconds(at.ends - std::max(view.free_at, at.now)), entry);
  }
}

// A job whose attempt is stalled has two entries: its attempt, and the place to which it moves.
std::string WaitsFor(const State& state, const scheduler::QueuePlacement& placed) {
  if (!placed.releases.value().empty()) {
    return absl::StrCat(placed.releases.value(), " leaves the board for its deadline");
  }
  const v1::Attempt* const live = LiveAttempt(FindJob(state, placed.job)->job());
  if (live == nullptr || IsQueued(state, *live)) {
    return placed.placement.waits_for();
  }
  return absl::StrCat("moves from ", DeviceName(state, live->device_id()),
                      ", unless its attempt there goes on first",
                      placed.placement.waits_for().empty() ? "" : "; ",
                      placed.placement.waits_for());
}

void AddPlace(const State& state, const scheduler::QueuePlacement& placed, absl::Time now,
              v1::DeviceTimetable& device) {
  const v1::Candidate& chosen = placed.placement.best(0);
  v1::TimetableEntry& entry = *device.add_entries();
  entry.set_job_id(placed.job.value());
  entry.set_begin_unix_seconds(UnixSeconds(now) + chosen.start_in_seconds());
  entry.set_end_unix_seconds(UnixSeconds(now) + chosen.finish_in_seconds());
  if (chosen.start_high_in_seconds() > 0) {
    entry.set_begin_low_unix_seconds(UnixSeconds(now) + chosen.start_low_in_seconds());
    entry.set_begin_high_unix_seconds(UnixSeconds(now) + chosen.start_high_in_seconds());
  }
  if (chosen.finish_high_in_seconds() > 0) {
    entry.set_end_low_unix_seconds(UnixSeconds(now) + chosen.finish_low_in_seconds());
    entry.set_end_high_unix_seconds(UnixSeconds(now) + chosen.finish_high_in_seconds());
  }
  entry.set_waits_for(WaitsFor(state, placed));
  SetRest(chosen.prediction().rest_seconds(), entry);
}

void AddCharge(const v1::Device& device, const std::vector<timetable::ChargeQuantiles>& charge,
               double end_unix_seconds, v1::DeviceTimetable& row) {
  const double capacity_millijoules =
      1000 * FromWattHours(device.info().battery_capacity_wh()).value();
  for (const timetable::ChargeQuantiles& quantiles : charge) {
    if (static_cast<double>(quantiles.at) > end_unix_seconds) {
      return;
    }
    v1::ChargeForecast& forecast = *row.add_charge();
    forecast.set_at_unix_seconds(static_cast<double>(quantiles.at));
    forecast.set_low_ratio(static_cast<double>(quantiles.low) / capacity_millijoules);
    forecast.set_median_ratio(static_cast<double>(quantiles.median) / capacity_millijoules);
    forecast.set_high_ratio(static_cast<double>(quantiles.high) / capacity_millijoules);
  }
}

}  // namespace

absl::StatusOr<v1::Timetable> FleetTimetable(const State& state, const Observations& observations,
                                             const PlanningInputs& inputs,
                                             const v1::TimetableRequest& request,
                                             const Instant& now) {
  const double horizon =
      request.horizon_seconds() == 0 ? kHorizonSecondsUnsaid : request.horizon_seconds();
  if (!(horizon >= kHorizonSecondsMin && horizon <= kHorizonSecondsMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat("horizon_seconds: is ", request.horizon_seconds(), "; valid is ",
                     kHorizonSecondsMin, " to ", kHorizonSecondsMax, " (1 h to 72 h)"));
  }
  const scheduler::Snapshot snapshot = MakeSnapshot(state, observations, inputs, now);
  const scheduler::QueuePlan plan = scheduler::PlanQueueWithCharge(snapshot);
  const LeavingAttempts leaving = LeavingIn(state, snapshot, plan);
  v1::Timetable timetable;
  timetable.set_at_unix_seconds(UnixSeconds(now.wall));
  timetable.set_horizon_seconds(horizon);
  timetable.set_sequence_number(snapshot.sequence.value());
  std::map<std::string, v1::DeviceTimetable> rows;
  for (size_t i = 0; i < snapshot.devices.size(); ++i) {
    const v1::Device& device = snapshot.devices[i].device;
    v1::DeviceTimetable& row = rows[device.info().device_id()];
    row.set_device_id(device.info().device_id());
    row.set_device_name(device.info().name());
    const policy::Limits limits = scheduler::LimitsFor(snapshot.policies, device.info());
    row.set_takes_none_because(
        TakesNoneBecause(device, limits, {now.wall, observations.started.wall}));
    row.set_power_group(limits.power_group ? limits.power_group->name : "");
    if (limits.reserve && scheduler::HasGauge(snapshot.devices[plan.gauges[i]].device)) {
      row.set_reserve_state_of_charge_ratio(limits.reserve->state_of_charge.value());
    }
    AddRunning(state, snapshot.devices[i],
               {now.wall, std::max(plan.free_at[i], now.wall), plan.attempt_ends[i], leaving}, row);
    const scheduler::DeviceView& gauge = snapshot.devices[plan.gauges[i]];
    AddCharge(gauge.device, plan.charge[i], UnixSeconds(now.wall) + horizon, row);
    if (!row.charge().empty()) {
      row.set_sun_source(scheduler::DescribeSun(
          gauge, scheduler::LimitsFor(snapshot.policies, gauge.device.info()).place, now.wall));
    }
  }
  for (const scheduler::QueuePlacement& placed : plan.jobs) {
    if (placed.placement.device_id().empty()) {
      v1::JobWithoutPlace& job = *timetable.add_without_place();
      job.set_job_id(placed.job.value());
      job.set_reason(placed.placement.reason());
    } else if (placed.placement.best(0).start_in_seconds() <= horizon) {
      AddPlace(state, placed, now.wall, rows[placed.placement.device_id()]);
    }
  }
  for (const auto& [attempt, rest] : leaving) {
    if (rest.begin - now.wall <= absl::Seconds(horizon)) {
      *rows[rest.device.value()].add_entries() = EntryOf(rest);
    }
  }
  std::vector<v1::DeviceTimetable> sorted;
  for (auto& [id, row] : rows) {
    std::stable_sort(row.mutable_entries()->begin(), row.mutable_entries()->end(),
                     [](const v1::TimetableEntry& a, const v1::TimetableEntry& b) {
                       return a.begin_unix_seconds() < b.begin_unix_seconds();
                     });
    sorted.push_back(std::move(row));
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const v1::DeviceTimetable& a, const v1::DeviceTimetable& b) {
                     return a.device_name() < b.device_name();
                   });
  timetable.mutable_devices()->Assign(sorted.begin(), sorted.end());
  return timetable;
}

}  // namespace wattle::core
