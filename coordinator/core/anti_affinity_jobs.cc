// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/anti_affinity_jobs.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/projects.h"
#include "scheduler/place/rules/anti_affinity.h"

namespace wattle::core {
namespace {

// The jobs that run apart: open ones, then those that succeeded and are not archived.
std::vector<const v1::Job*> OpenOnes(const State& state) {
  std::vector<const v1::Job*> jobs;
  for (const int64_t number : state.open_jobs) {
    if (const v1::Job& job = state.jobs.at(number).job(); job.spec().has_apart()) {
      jobs.push_back(&job);
    }
  }
  return jobs;
}

std::vector<const v1::Job*> SucceededOnes(const State& state) {
  std::vector<const v1::Job*> jobs;
  for (const auto& [ended, number] : state.ended_jobs) {
    const v1::Job& job = state.jobs.at(number).job();
    if (job.spec().has_apart() && job.state() == v1::JOB_STATE_SUCCEEDED) {
      jobs.push_back(&job);
    }
  }
  return jobs;
}

std::vector<const v1::Job*> OpenAndSucceeded(const State& state) {
  std::vector<const v1::Job*> jobs = OpenOnes(state);
  const std::vector<const v1::Job*> more = SucceededOnes(state);
  jobs.insert(jobs.end(), more.begin(), more.end());
  return jobs;
}

// Where the job runs, or where its result was made. The result may come from an earlier attempt
// than the latest one.
std::optional<DeviceId> DeviceOf(const v1::Job& job) {
  const bool succeeded = job.state() == v1::JOB_STATE_SUCCEEDED;
  for (auto attempt = job.attempts().rbegin(); attempt != job.attempts().rend(); ++attempt) {
    if (succeeded ? attempt->state() == v1::ATTEMPT_STATE_FINISHED
                  : !IsTerminal(attempt->state())) {
      return DeviceId(attempt->device_id());
    }
  }
  return std::nullopt;
}

}  // namespace

void AddAntiAffinityGroups(const State& state, const v1::JobSpec* asked,
                           scheduler::Snapshot& snapshot) {
  const auto add = [&](const v1::JobSpec& spec) -> scheduler::AntiAffinityGroup& {
    const auto [group, is_new] =
        snapshot.anti_affinity.try_emplace(scheduler::AntiAffinityGroupOf(spec));
    if (is_new) {
      group->second.anti_affinity = spec.apart();
      group->second.places = scheduler::PlacesOf(spec.apart(), snapshot.devices);
    }
    return group->second;
  };
  for (const v1::Job* const job : OpenOnes(state)) {
    add(job->spec()).jobs[JobId(job->job_id())] = {.device = DeviceOf(*job)};
  }
  if (asked != nullptr && asked->has_apart()) {
    add(*asked);
  }
  if (snapshot.anti_affinity.empty()) {
    return;
  }
  for (const v1::Job* const job : SucceededOnes(state)) {
    const auto group = snapshot.anti_affinity.find(scheduler::AntiAffinityGroupOf(job->spec()));
    if (group != snapshot.anti_affinity.end()) {
      group->second.jobs[JobId(job->job_id())] = {.device = DeviceOf(*job), .succeeded = true};
    }
  }
}

absl::Status CheckAntiAffinityGroup(const State& state, const v1::JobSpec& spec) {
  if (!spec.has_apart()) {
    return absl::OkStatus();
  }
  const auto words = [](const std::string& by) { return by.empty() ? "by board" : "by " + by; };
  for (const v1::Job* const job : OpenAndSucceeded(state)) {
    const v1::Apart& apart = job->spec().apart();
    if (ProjectOf(job->spec()) == ProjectOf(spec) && apart.group() == spec.apart().group() &&
        apart.by() != spec.apart().by()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "apart.by: \"", spec.apart().by(), "\": ", job->job_id(), " of the group ", apart.group(),
          " is apart ", words(apart.by()), "; write the same, or another group"));
    }
  }
  return absl::OkStatus();
}

bool IsPlaceTaken(const State& state, const v1::Job& job, const DeviceId& device) {
  const v1::DeviceRecord* const record = FindDevice(state, device);
  if (!job.spec().has_apart() || record == nullptr || WATTLE_FAULT_POINT("apart")) {
    return false;
  }
  const std::vector<const v1::Job*> jobs = OpenAndSucceeded(state);
  return std::any_of(jobs.begin(), jobs.end(), [&](const v1::Job* other) {
    const std::optional<DeviceId> on = DeviceOf(*other);
    const v1::DeviceRecord* const holder =
        on.has_value() && other->job_id() != job.job_id() ? FindDevice(state, *on) : nullptr;
    return holder != nullptr && !holder->removed() &&
           scheduler::AntiAffinityGroupOf(other->spec()) ==
               scheduler::AntiAffinityGroupOf(job.spec()) &&
           scheduler::IsOnePlace(job.spec().apart(), record->info(), holder->info());
  });
}

}  // namespace wattle::core
