// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Readers' views: the durable state joined with observations. Pure.
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/duplicate_identity.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/profiling.h"
#include "coordinator/core/queueing.h"
#include "coordinator/core/retry_policy.h"
#include "coordinator/core/state.h"
#include "proto/approval.h"
#include "scheduler/place/rules/selector.h"
#include "units/format.h"

namespace wattle::core {

namespace {

// The refusal of a board comes first, because it explains the board's silence.
std::string ProblemOf(const State& state, const v1::DeviceRecord& record, const DeviceId& device) {
  const v1::IdentityRecord* const identity = FindIdentity(state, kDeviceKind, device.value());
  if (identity != nullptr && identity->revoked()) {
    const std::string& name = record.info().name();
    return absl::StrCat(
        name, " was revoked",
        identity->revoked_reason().empty() ? "" : absl::StrCat(": ", identity->revoked_reason()),
        "; a new token lets it in again, 'wattle device rm ", name, "' forgets it");
  }
  return WaitsForApproval(state, device) && !IsDuplicateIdentityProblem(record.problem())
             ? ApprovalProblem(record.info())
             : record.problem();
}

}  // namespace

v1::Device DescribeDevice(const State& state, const Observations& observations,
                          const DeviceId& device, const Instant& now) {
  const v1::DeviceRecord* record = FindDevice(state, device);
  WATTLE_CHECK(record != nullptr, "views are made of records that exist");
  v1::Device view;
  *view.mutable_info() = record->info();
  view.set_drained(record->drained());
  view.set_drain_reason(record->drain_reason());
  view.set_waits_for_approval(WaitsForApproval(state, device));
  view.set_problem(ProblemOf(state, *record, device));
  view.set_first_seen_unix_seconds(record->first_seen_unix_seconds());
  view.set_incarnation(record->incarnation());
  *view.mutable_ledger() = record->ledger();
  const auto seen = observations.devices.find(device);
  if (seen != observations.devices.end()) {
    view.set_connected(seen->second.connected);
    *view.mutable_heartbeat() = seen->second.heartbeat;
    if (seen->second.last_seen.has_value()) {
      view.set_last_seen_unix_seconds(ToUnix(seen->second.last_seen->wall));
    }
    if (view.heartbeat().idle_power_watts() > 0.0) {
      view.mutable_info()->set_idle_power_watts(view.heartbeat().idle_power_watts());
    }
  }
  view.set_unreachable(!IsReachable(observations, device, now.monotonic));
  if (const v1::Attempt* const running = RunningOn(state, device); running != nullptr) {
    view.set_running_attempt_id(running->attempt_id());
  }
  for (const v1::Attempt* const attempt : AttemptsOn(state, device)) {
    if (IsQueued(state, *attempt)) {
      view.add_queued_attempt_ids(attempt->attempt_id());
    }
  }
  return view;
}

int CountSelected(const State& state, const v1::Policy& policy) {
  int selected = 0;
  for (const auto& [id, record] : state.devices) {
    selected += !record.removed() && scheduler::Selects(policy, record.info()) ? 1 : 0;
  }
  return selected;
}

v1::ArtifactInfo DescribeArtifact(const State& state, const ArtifactId& artifact) {
  v1::ArtifactInfo view = state.artifacts.at(artifact);
  bool stands = false;
  for (const auto& [name, id] : state.artifact_names) {
    if (id == artifact) {
      view.add_names(name);
      stands = stands || name == view.name();
    }
  }
  // An artifact with several names is shown under the latest pushed name, as long as that name
  // still points to the artifact.
  if (!stands) {
    view.set_name(view.names().empty() ? "" : view.names(0));
  }
  return view;
}

namespace {

// Why the job does not progress at this moment, from the observations; empty if only the job's own
// reason is known.
std::string WaitingReason(const State& state, const Observations& observations, const v1::Job& job,
                          Monotonic now) {
  if (job.state() == v1::JOB_STATE_QUEUED &&
      JobsWithResultsToCome(observations, now).contains(JobId(job.job_id()))) {
    return "waits for its result, which a device made before the restore and is about to upload";
  }
  if (job.state() == v1::JOB_STATE_QUEUED && observations.waiting != nullptr) {
    const auto waiting = observations.waiting->find(JobId(job.job_id()));
    return waiting == observations.waiting->end() ? "" : waiting->second.why;
  }
  const v1::Attempt* live = LiveAttempt(job);
  if (live == nullptr) {
    return "";
  }
  const auto device = observations.devices.find(DeviceId(live->device_id()));
  if (live->released() && device != observations.devices.end() &&
      device->second.hand_over.attempt.value() == live->attempt_id()) {
    const HandOver& hand_over = device->second.hand_over;
    return absl::StrCat(live->reason(), "; ", FormatBytes(hand_over.handed_bytes), " of ",
                        FormatBytes(hand_over.size_bytes), " of its checkpoint are here");
  }
  const auto progress = observations.progress.find(AttemptId(live->attempt_id()));
  if (IsQueued(state, *live)) {
    const bool accepted = live->state() != v1::ATTEMPT_STATE_PLACED;
    const std::string more =
        progress == observations.progress.end() ? "" : progress->second.waiting_reason();
    return absl::StrCat(
        accepted ? "accepted, waits on " : "on its way, to wait on ",
        DeviceName(state, live->device_id()), " behind ", AheadOf(state, *live),
        more.find("inputs are here") == std::string::npos ? "" : "; its inputs are there");
  }
  return progress == observations.progress.end() ? "" : progress->second.waiting_reason();
}

}  // namespace

void CompleteJob(const State& state, const Observations& observations, const Instant& now,
                 v1::Job& job) {
  if (const std::string waiting = WaitingReason(state, observations, job, now.monotonic);
      !waiting.empty()) {
    job.set_reason(waiting);
  }
  // The number of a profile job's runs is open, because each run is chosen separately.
  job.set_attempts_max(IsProfile(job.spec()) && !IsTerminal(job.state()) ? 0 : AttemptsMax(job));
  job.set_spent_energy_joules(SpentSoFar(observations, job).value());
  if (job.state() == v1::JOB_STATE_QUEUED && observations.waiting != nullptr) {
    const auto waiting = observations.waiting->find(JobId(job.job_id()));
    if (waiting != observations.waiting->end()) {
      *job.mutable_place() = waiting->second.place;
    }
  }
  for (v1::Attempt& attempt : *job.mutable_attempts()) {
    const DeviceId device(attempt.device_id());
    attempt.set_unreachable(!IsTerminal(attempt.state()) &&
                            !IsReachable(observations, device, now.monotonic));
    if (const v1::DeviceRecord* record = FindDevice(state, device); record != nullptr) {
      attempt.set_device_name(record->info().name());
      attempt.set_emulated(record->info().emulated());
    }
  }
}

v1::Job DescribeJob(const State& state, const Observations& observations, const JobId& job,
                    const Instant& now) {
  const v1::JobRecord* record = FindJob(state, job);
  WATTLE_CHECK(record != nullptr, "views are made of records that exist");
  v1::Job view = record->job();
  CompleteJob(state, observations, now, view);
  return view;
}

}  // namespace wattle::core
