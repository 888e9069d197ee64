// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What moves attempts without a report: a computed plan, a hello, time. Pure.
#include <cmath>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "coordinator/core/core.h"
#include "coordinator/core/draft_internal.h"
#include "scheduler/predict/predict.h"

namespace wattle::core {
namespace {

// A lease that nobody named: the predicted upper quantile, half of it again, and a minute for what
// no prediction knows (a reboot, a slow link).
constexpr double kLeaseSlackFactor = 1.5;
constexpr double kLeaseSlackSeconds = 60.0;
constexpr double kLeaseSecondsUnpredicted = 24.0 * 3600;
// "up to days": beyond that a lost device would hold its job for good.
constexpr double kLeaseSecondsMax = 14 * 24.0 * 3600;

double LeaseSeconds(const v1::JobSpec& spec, const v1::Placement& placement) {
  if (spec.lease_seconds() > 0.0) {
    return spec.lease_seconds();
  }
  if (placement.best_size() == 0) {
    return kLeaseSecondsUnpredicted;
  }
  const v1::Prediction& prediction = placement.best(0).prediction();
  const double scale = prediction.time_scale() > 0.0 ? prediction.time_scale() : 1.0;
  const double device_seconds =
      scheduler::TotalSeconds(prediction, prediction.run_seconds().high());
  const double lease = device_seconds * scale * kLeaseSlackFactor + kLeaseSlackSeconds;
  return std::isfinite(lease) ? std::min(lease, kLeaseSecondsMax) : kLeaseSecondsUnpredicted;
}

absl::Time FromUnix(double seconds) {
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

// Why the placement no longer holds; empty: it does.
bool StillHolds(const Draft& draft, const v1::JobRecord& record, const DeviceId& device,
                const std::set<DeviceId>& taken) {
  const State& state = draft.state();
  if (record.job().state() != v1::JOB_STATE_QUEUED ||
      FromUnix(record.not_before_unix_seconds()) > draft.now()) {
    return false;
  }
  const v1::DeviceRecord* host = FindDevice(state, device);
  if (host == nullptr || host->drained() || taken.contains(device) ||
      state.wanted_attempt.contains(device) ||
      !IsReachable(draft.observations(), device, draft.now())) {
    return false;
  }
  for (const v1::ResolvedInput& input : record.job().inputs()) {
    if (!state.artifacts.contains(ArtifactId(input.artifact_id()))) {
      return false;
    }
  }
  return true;
}

void Place(Draft& draft, const v1::JobRecord& record, const v1::Placement& placement,
           int64_t fencing_token) {
  const v1::Job& job = record.job();
  v1::AttemptPlaced& placed = *draft.Add().mutable_attempt_placed();
  placed.set_attempt_id(absl::StrCat(job.job_id(), ".", job.attempts_size() + 1));
  placed.set_job_id(job.job_id());
  placed.set_device_id(placement.device_id());
  placed.set_fencing_token(fencing_token);
  placed.set_lease_seconds(LeaseSeconds(job.spec(), placement));
  *placed.mutable_placement() = placement;
  draft.SetJob(job.job_id(), v1::JOB_STATE_ACTIVE,
               absl::StrCat("placed on ", DeviceName(draft.state(), placement.device_id())));
}

// Told to people when it changes; without numbers that differ from plan to plan, so that a waiting
// job costs no event.
std::string WhyNotNow(const State& state, const scheduler::QueuePlacement& planned) {
  const v1::Placement& placement = planned.placement;
  if (placement.wait() && !placement.device_id().empty()) {
    return absl::StrCat("waits for ", DeviceName(state, placement.device_id()),
                        ", the better device, which is busy");
  }
  if (placement.refusals_size() == 0) {
    return "no device is connected";
  }
  return absl::StrCat(
      planned.never ? "no device of this fleet can run it: " : "no device can take it now: ",
      absl::StrJoin(placement.refusals(), ", ",
                    [](std::string* out, const v1::RefusalCount& refusal) {
                      absl::StrAppend(out, refusal.refused_by());
                    }));
}

}  // namespace

void DecidePlan(Draft& draft, const PlanComputed& command) {
  const State& state = draft.state();
  std::set<DeviceId> taken;
  std::set<std::string> seen;
  int64_t token = state.next_fencing_token.value();
  for (const scheduler::QueuePlacement& planned : command.jobs) {
    const v1::JobRecord* record = FindJob(state, planned.job);
    if (record == nullptr || record->job().state() != v1::JOB_STATE_QUEUED ||
        !seen.insert(planned.job.value()).second) {
      continue;
    }
    if (planned.placement.device_id().empty() || planned.placement.wait()) {
      const std::string reason = WhyNotNow(state, planned);
      if (reason != record->job().reason() &&
          FromUnix(record->not_before_unix_seconds()) <= draft.now()) {
        draft.SetJob(planned.job.value(), v1::JOB_STATE_QUEUED, reason);
      }
      continue;
    }
    const DeviceId device(planned.placement.device_id());
    if (StillHolds(draft, *record, device, taken)) {
      Place(draft, *record, planned.placement, token++);
      taken.insert(device);
    }
  }
}

void DecideHello(Draft& draft, const WorkerHello& command) {
  const v1::Hello& hello = command.hello;
  if (absl::Status valid = ValidateHello(hello); !valid.ok()) {
    draft.Refuse(valid);
    return;
  }
  const State& state = draft.state();
  const DeviceId device(hello.device().device_id());
  v1::DeviceInfo info = hello.device();
  if (info.time_scale() == 0.0) {
    info.set_time_scale(1.0);
  }
  const v1::DeviceRecord* record = FindDevice(state, device);
  if (record == nullptr || record->incarnation() != hello.incarnation() ||
      record->info().SerializeAsString() != info.SerializeAsString()) {
    v1::DeviceRegistered& registered = *draft.Add().mutable_device_registered();
    *registered.mutable_info() = info;
    registered.set_incarnation(hello.incarnation());
  }
  int64_t mark = 0;
  if (record != nullptr) {
    for (const v1::ReportMark& one : record->marks()) {
      mark = one.incarnation() == hello.incarnation() ? one.sequence() : mark;
    }
  }
  // A drained device that no longer holds its attempt will never report the stop.
  const auto wanted = state.wanted_attempt.find(device);
  if (record != nullptr && record->drained() && wanted != state.wanted_attempt.end()) {
    const v1::Attempt& attempt = *FindAttempt(state, wanted->second);
    bool held = false;
    for (const v1::HeldAttempt& one : hello.attempts()) {
      held = held || one.attempt_id() == attempt.attempt_id();
    }
    if (!held) {
      const std::string reason = absl::StrCat(info.name(), " is drained and does not hold it");
      draft.SetAttempt(attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
      draft.Requeue(attempt.job_id(), reason, draft.now());
    }
  }
  Decision& decision = draft.decision();
  decision.id = device.value();
  decision.effects.emplace_back(Acknowledge{device, hello.incarnation(), mark});
  decision.effects.emplace_back(DesiredSetChanged{device});
  decision.effects.emplace_back(QueueChanged{});
}

void DecideTick(Draft& draft) {
  const State& state = draft.state();
  for (const auto& [device, attempt_id] : state.wanted_attempt) {
    const v1::Attempt& attempt = *FindAttempt(state, attempt_id);
    const v1::Job& job = FindJob(state, JobId(attempt.job_id()))->job();
    const absl::Time contact = std::max(LastContact(draft.observations(), device),
                                        FromUnix(attempt.placed_unix_seconds()));
    if (draft.now() - contact > absl::Seconds(attempt.lease_seconds())) {
      const std::string reason = absl::StrCat(
          "lease of ", absl::FormatDuration(absl::Seconds(std::round(attempt.lease_seconds()))),
          " ended, nothing was heard of ", DeviceName(state, device.value()));
      draft.SetAttempt(attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
      draft.Requeue(job.job_id(), reason, draft.now());
      continue;
    }
    const auto progress = draft.observations().progress.find(attempt_id);
    const double timeout_seconds = job.spec().timeout_seconds();
    if (timeout_seconds > 0.0 && progress != draft.observations().progress.end() &&
        progress->second.elapsed_seconds() > timeout_seconds) {
      v1::Receipt receipt;
      receipt.set_attempt_id(attempt.attempt_id());
      receipt.set_device_id(device.value());
      receipt.set_failure_class(v1::FAILURE_CLASS_JOB);
      receipt.set_failure_message(
          absl::StrCat("ran longer than timeout_seconds: ", timeout_seconds));
      draft.SetAttempt(attempt, v1::ATTEMPT_STATE_FAILED, receipt.failure_message(), &receipt);
      draft.AfterFailure(job, v1::FAILURE_CLASS_JOB, receipt.failure_message(), device.value());
    }
  }
}

}  // namespace wattle::core
