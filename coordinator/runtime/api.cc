// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/api.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/fleet_timetable.h"
#include "coordinator/core/forecasts.h"
#include "coordinator/core/state.h"
#include "coordinator/runtime/job_list.h"
#include "coordinator/runtime/unknown_fields.h"
#include "proto/job_summary.h"

namespace wattle::runtime {
namespace {

std::vector<DeviceId> DevicesOf(const v1::Job& job) {
  std::vector<DeviceId> devices;
  for (const v1::Attempt& attempt : job.attempts()) {
    devices.emplace_back(attempt.device_id());
  }
  return devices;
}

// Hides the projects outside the scope that have the same bytes.
v1::ArtifactInfo Shown(v1::ArtifactInfo info, const core::Scope& scope) {
  std::set<std::string> shown;
  for (const std::string& project : core::ProjectsOf(info)) {
    if (scope.Covers(project)) {
      shown.insert(project);
    }
  }
  core::SetProjects(shown, info);
  return info;
}

v1::GetDeviceRequest RequestFor(const DeviceId& id) {
  v1::GetDeviceRequest get;
  get.set_device(id.value());
  return get;
}

// The device that a request names. Errors: those of GetDevice and RefuseUnknownFields.
template <typename Request>
absl::StatusOr<v1::Device> NamedDevice(const Api& api, const Request& request) {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  v1::GetDeviceRequest get;
  get.set_device(request.device());
  return api.GetDevice(get);
}

}  // namespace

absl::StatusOr<v1::Job> Api::GetJob(const v1::GetJobRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  WATTLE_ASSIGN_OR_RETURN(v1::JobUpdate update, UpdateOf(JobId(request.job_id())));
  WATTLE_RETURN_IF_ERROR(runtime_.history().Explain(*update.mutable_job()));
  for (v1::Attempt& attempt : *update.mutable_job()->mutable_attempts()) {
    const auto slot = runtime_.heartbeats().FindSlot(DeviceId(attempt.device_id()));
    if (!attempt.has_receipt() && slot != nullptr) {
      *attempt.mutable_curve() = slot->CurveOf(AttemptId(attempt.attempt_id()));
    }
  }
  return std::move(*update.mutable_job());
}

absl::StatusOr<v1::JobUpdate> Api::UpdateOf(const JobId& job) const {
  const std::shared_ptr<const core::State> state = runtime_.Version();
  v1::JobUpdate update;
  if (const v1::JobRecord* record = core::FindJob(*state, job); record != nullptr) {
    *update.mutable_job() = record->job();
  } else {
    WATTLE_ASSIGN_OR_RETURN(*update.mutable_job(), runtime_.history().Job(job));
  }
  const core::Observations observations = runtime_.heartbeats().SnapshotOf(DevicesOf(update.job()));
  core::CompleteJob(*state, observations, runtime_.Now(), *update.mutable_job());
  if (update.job().attempts_size() > 0) {
    const AttemptId current(update.job().attempts().rbegin()->attempt_id());
    const auto it = observations.progress.find(current);
    if (it != observations.progress.end()) {
      *update.mutable_progress() = it->second;
    }
  }
  return update;
}

absl::StatusOr<v1::ListJobsResponse> Api::ListJobs(const v1::ListJobsRequest& request,
                                                   const core::Scope& scope) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const std::shared_ptr<const core::State> state = runtime_.Version();
  WATTLE_ASSIGN_OR_RETURN(JobPage page,
                          runtime::ListJobs(*state, runtime_.history(), request, scope));
  std::vector<DeviceId> devices;
  for (const v1::Job& job : page.jobs) {
    const std::vector<DeviceId> more = DevicesOf(job);
    devices.insert(devices.end(), more.begin(), more.end());
  }
  const core::Observations observations = runtime_.heartbeats().SnapshotOf(devices);
  v1::ListJobsResponse response;
  response.set_next_page_token(page.next_page_token);
  for (v1::Job& job : page.jobs) {
    core::CompleteJob(*state, observations, runtime_.Now(), job);
    for (v1::Attempt& attempt : *job.mutable_attempts()) {
      if (attempt.has_receipt()) {
        attempt.mutable_receipt()->clear_curve();
      }
    }
    if (request.summaries()) {
      *response.add_summaries() = Summarize(job);
    } else {
      *response.add_jobs() = std::move(job);
    }
  }
  return response;
}

std::vector<v1::Job> Api::ArchivedSources(const core::State& state, const v1::JobSpec& spec) const {
  std::vector<v1::Job> sources;
  for (const JobId& job : core::ReferencedJobs(spec)) {
    if (core::FindJob(state, job) == nullptr) {
      absl::StatusOr<v1::Job> source = runtime_.history().Job(job);
      if (source.ok()) {
        sources.push_back(*std::move(source));
      }
    }
  }
  return sources;
}

absl::StatusOr<v1::PlanResponse> Api::PlanJob(const v1::PlanRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const std::shared_ptr<const core::State> state = runtime_.Version();
  core::PlanningInputs inputs = runtime_.planning();
  const v1::JobRecord* const open = core::FindJob(*state, JobId(request.job_id()));
  inputs.archived_sources =
      ArchivedSources(*state, open == nullptr ? request.spec() : open->job().spec());
  return core::DryRun(*state, runtime_.heartbeats().Snapshot(), inputs, request, runtime_.Now());
}

absl::StatusOr<v1::Timetable> Api::GetTimetable(const v1::TimetableRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const std::shared_ptr<const core::State> state = runtime_.Version();
  return core::FleetTimetable(*state, runtime_.heartbeats().Snapshot(), runtime_.planning(),
                              request, runtime_.Now());
}

absl::StatusOr<v1::ListDevicesResponse> Api::ListDevices(
    const v1::ListDevicesRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const core::Observations observations = runtime_.heartbeats().Snapshot();
  v1::ListDevicesResponse response = runtime_.Read([&](const core::State& state) {
    v1::ListDevicesResponse devices;
    for (const auto& [id, record] : state.devices) {
      if (record.removed()) {
        continue;
      }
      *devices.add_devices() = core::DescribeDevice(state, observations, id, runtime_.Now());
    }
    return devices;
  });
  std::sort(response.mutable_devices()->begin(), response.mutable_devices()->end(),
            [](const v1::Device& a, const v1::Device& b) {
              return std::pair(a.info().name(), a.info().device_id()) <
                     std::pair(b.info().name(), b.info().device_id());
            });
  return response;
}

absl::StatusOr<v1::Device> Api::GetDevice(const v1::GetDeviceRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const core::Observations observations = runtime_.heartbeats().Snapshot();
  return runtime_.Read([&](const core::State& state) -> absl::StatusOr<v1::Device> {
    WATTLE_ASSIGN_OR_RETURN(const DeviceId device, core::ResolveDevice(state, request.device()));
    return core::DescribeDevice(state, observations, device, runtime_.Now());
  });
}

absl::StatusOr<v1::ListPoliciesResponse> Api::ListPolicies(
    const v1::ListPoliciesRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  return runtime_.Read([](const core::State& state) {
    v1::ListPoliciesResponse response;
    for (const auto& [name, policy] : state.policies) {
      *response.add_policies() = policy;
      response.add_selected_devices(core::CountSelected(state, policy));
    }
    return response;
  });
}

absl::StatusOr<v1::ListForecastsResponse> Api::ListForecasts(
    const v1::ListForecastsRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  return runtime_.Read([](const core::State& state) {
    v1::ListForecastsResponse response;
    for (const auto& [name, forecast] : state.forecasts) {
      *response.add_forecasts() = forecast;
      response.add_selected_devices(core::CountSelected(state, forecast));
    }
    return response;
  });
}

absl::StatusOr<v1::ListProfilesResponse> Api::ListProfiles(
    const v1::ListProfilesRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const std::vector<v1::ProfileRow> rows =
      runtime_.Read([](const core::State& state) { return state.profiles.Rows(); });
  v1::ListProfilesResponse response;
  for (const v1::ProfileRow& row : rows) {
    if (request.device_class().empty() || row.device_class() == request.device_class()) {
      *response.add_rows() = row;
    }
  }
  std::stable_sort(response.mutable_rows()->begin(), response.mutable_rows()->end(),
                   [](const v1::ProfileRow& a, const v1::ProfileRow& b) {
                     return a.source() < b.source();  // PROFILE_SOURCE_MEASURED comes first.
                   });
  return response;
}

absl::StatusOr<v1::ListArtifactsResponse> Api::ListArtifacts(
    const v1::ListArtifactsRequest& request, const core::Scope& scope) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  v1::ListArtifactsResponse response = runtime_.Read([&](const core::State& state) {
    v1::ListArtifactsResponse artifacts;
    for (const auto& [id, info] : state.artifacts) {
      const bool wanted =
          request.kind() == v1::ARTIFACT_KIND_UNSPECIFIED || request.kind() == info.kind();
      if (wanted && scope.Covers(info)) {
        *artifacts.add_artifacts() = Shown(core::DescribeArtifact(state, id), scope);
      }
    }
    return artifacts;
  });
  std::stable_sort(response.mutable_artifacts()->begin(), response.mutable_artifacts()->end(),
                   [](const v1::ArtifactInfo& a, const v1::ArtifactInfo& b) {
                     return a.created_unix_seconds() > b.created_unix_seconds();
                   });
  return response;
}

absl::StatusOr<v1::ArtifactInfo> Api::ResolveArtifact(const v1::ResolveArtifactRequest& request,
                                                      const core::Scope& scope) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const std::shared_ptr<const core::State> state = runtime_.Version();
  absl::StatusOr<ArtifactId> id = core::ResolveArtifact(*state, request.reference(), scope);
  if (absl::IsNotFound(id.status()) && absl::StartsWith(request.reference(), "job:")) {
    // The job may have left the state; the history then has its output.
    const absl::string_view rest = absl::StripPrefix(request.reference(), "job:");
    const absl::StatusOr<v1::Job> job =
        runtime_.history().Job(JobId(std::string(absl::StripSuffix(rest, "/output"))));
    if (job.ok() && scope.Covers(job->spec())) {
      id = ArtifactId(job->output_artifact_id());
    }
  }
  WATTLE_RETURN_IF_ERROR(id.status());
  if (!state->artifacts.contains(*id) || !scope.Covers(state->artifacts.at(*id))) {
    return absl::NotFoundError(
        absl::StrCat("\"", request.reference(),
                     "\": the job has no output, or the output was removed; 'wattle job show' "
                     "tells which"));
  }
  return Shown(core::DescribeArtifact(*state, *id), scope);
}

// Posts the command. `convert(answer)` makes the response if the command succeeds.
template <typename Response, typename Convert>
void Api::Post(core::Command&& command, const v1::EventCaller& caller, Reply<Response> reply,
               Convert convert) {
  const absl::Status posted = runtime_.Post(
      std::move(command),
      [reply, convert = std::move(convert)](const Answer& answer) {
        if (answer.status.ok()) {
          reply(convert(answer));
        } else {
          reply(answer.status);
        }
      },
      caller);
  if (!posted.ok()) {
    reply(posted);
  }
}

void Api::SubmitJob(const v1::SubmitJobRequest& request, const v1::EventCaller& caller,
                    Reply<v1::SubmitJobResponse> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  // A repeated key of a durable job must not reach the core. The core may already have decided to
  // archive that job; it would then no longer find the key, and would make a second job.
  const std::shared_ptr<const core::State> state = runtime_.Version();
  const auto repeated = RepeatedSubmit(*state, request);
  if (!repeated.ok()) {
    reply(repeated.status());
    return;
  }
  if (repeated->has_value()) {
    reply(**repeated);
    return;
  }
  core::SubmitJob command{request.spec(), request.idempotency_key(), {}};
  command.archived_sources = ArchivedSources(*state, request.spec());
  // CheckPossible refuses only for lasting reasons, independent of observations, so the
  // observations are empty. The core checks the rest.
  core::PlanningInputs inputs = runtime_.planning();
  inputs.archived_sources = command.archived_sources;
  const absl::Status possible =
      core::CheckPossible(*state, core::Observations(), inputs, request.spec(), runtime_.Now());
  if (!possible.ok()) {
    reply(possible);
    return;
  }
  Post(std::move(command), caller, std::move(reply),
       [this](const Answer& answer) { return Submitted(JobId(answer.id), answer.existed); });
}

absl::StatusOr<v1::SubmitJobResponse> Api::Submitted(const JobId& job, bool existed) const {
  WATTLE_ASSIGN_OR_RETURN(v1::JobUpdate update, UpdateOf(job));
  v1::SubmitJobResponse response;
  response.mutable_job()->Swap(update.mutable_job());
  response.set_existed(existed);
  return response;
}

// REQUIRES: the caller took the state before the history is read, because a job that has left the
// state since then is in the history. The first submit's job is the answer even if the fleet could
// no longer run it.
absl::StatusOr<std::optional<v1::SubmitJobResponse>> Api::RepeatedSubmit(
    const core::State& state, const v1::SubmitJobRequest& request) const {
  std::optional<JobId> first;
  if (const auto found = state.job_by_idempotency_key.find(request.idempotency_key());
      found != state.job_by_idempotency_key.end()) {
    first = JobId(state.jobs.at(found->second).job().job_id());
  } else {
    WATTLE_ASSIGN_OR_RETURN(first, runtime_.history().JobOfKey(request.idempotency_key()));
  }
  if (!first.has_value()) {
    return std::nullopt;
  }
  WATTLE_ASSIGN_OR_RETURN(v1::SubmitJobResponse response, Submitted(*first, /*existed=*/true));
  WATTLE_RETURN_IF_ERROR(
      core::CheckRepeatedSubmit(response.job(), request.idempotency_key(), request.spec()));
  return response;
}

void Api::CancelJob(const v1::CancelJobRequest& request, const v1::EventCaller& caller,
                    Reply<v1::Job> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  const JobId job(request.job_id());
  if (core::FindJob(*runtime_.Version(), job) == nullptr) {
    if (const auto archived = runtime_.history().Job(job); archived.ok()) {
      reply(absl::FailedPreconditionError(
          absl::StrCat("job ", job.value(), " has ended: ", archived->reason())));
      return;
    }
  }
  Post(core::CancelJob{job, request.reason()}, caller, std::move(reply),
       [this, job](const Answer&) -> absl::StatusOr<v1::Job> {
         WATTLE_ASSIGN_OR_RETURN(v1::JobUpdate update, UpdateOf(job));
         return std::move(*update.mutable_job());
       });
}

void Api::DrainDevice(const v1::DrainDeviceRequest& request, const v1::EventCaller& caller,
                      Reply<v1::Device> reply) {
  const absl::StatusOr<v1::Device> device = NamedDevice(*this, request);
  if (!device.ok()) {
    reply(device.status());
    return;
  }
  const DeviceId id(device->info().device_id());
  Post(core::DrainDevice{id, request.reason()}, caller, std::move(reply),
       [this, id](const Answer&) { return GetDevice(RequestFor(id)); });
}

void Api::ResumeDevice(const v1::ResumeDeviceRequest& request, const v1::EventCaller& caller,
                       Reply<v1::Device> reply) {
  const absl::StatusOr<v1::Device> device = NamedDevice(*this, request);
  if (!device.ok()) {
    reply(device.status());
    return;
  }
  const DeviceId id(device->info().device_id());
  Post(core::ResumeDevice{id}, caller, std::move(reply),
       [this, id](const Answer&) { return GetDevice(RequestFor(id)); });
}

void Api::RemoveDevice(const v1::RemoveDeviceRequest& request, const v1::EventCaller& caller,
                       Reply<v1::RemoveDeviceResponse> reply) {
  const absl::StatusOr<v1::Device> device = NamedDevice(*this, request);
  if (!device.ok()) {
    reply(device.status());
    return;
  }
  v1::RemoveDeviceResponse removed;
  removed.set_device_id(device->info().device_id());
  removed.set_name(device->info().name());
  Post(core::RemoveDevice{DeviceId(removed.device_id())}, caller, std::move(reply),
       [removed](const Answer&) -> absl::StatusOr<v1::RemoveDeviceResponse> { return removed; });
}

void Api::ApplyPolicy(const v1::ApplyPolicyRequest& request, const v1::EventCaller& caller,
                      Reply<v1::Policy> reply) {
  absl::Status status = RefuseUnknownFields(request);
  if (status.ok()) {
    status = core::ValidatePolicy(request.policy());
  }
  if (!status.ok()) {
    reply(status);
    return;
  }
  Post(core::ApplyPolicy{request.policy()}, caller, std::move(reply),
       [policy = request.policy()](const Answer&) -> absl::StatusOr<v1::Policy> { return policy; });
}

void Api::DeletePolicy(const v1::DeletePolicyRequest& request, const v1::EventCaller& caller,
                       Reply<v1::DeletePolicyResponse> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  Post(core::DeletePolicy{request.name()}, caller, std::move(reply),
       [](const Answer&) -> absl::StatusOr<v1::DeletePolicyResponse> {
         return v1::DeletePolicyResponse();
       });
}

void Api::PushForecast(const v1::PushForecastRequest& request, const std::string& by,
                       const v1::EventCaller& caller, Reply<v1::HarvestForecast> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  Post(core::PushForecast{request.forecast(), by}, caller, std::move(reply),
       [this](const Answer& answer) -> absl::StatusOr<v1::HarvestForecast> {
         return runtime_.Read([&](const core::State& state) -> absl::StatusOr<v1::HarvestForecast> {
           const v1::HarvestForecast* const stored = state.forecasts.Find(answer.id);
           return stored != nullptr ? absl::StatusOr<v1::HarvestForecast>(*stored)
                                    : absl::NotFoundError("the forecast was removed meanwhile");
         });
       });
}

void Api::RemoveForecast(const v1::RemoveForecastRequest& request, const v1::EventCaller& caller,
                         Reply<v1::RemoveForecastResponse> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  Post(core::RemoveForecast{request.name()}, caller, std::move(reply),
       [](const Answer&) -> absl::StatusOr<v1::RemoveForecastResponse> {
         return v1::RemoveForecastResponse();
       });
}

void Api::ImportProfiles(const v1::ImportProfilesRequest& request, const v1::EventCaller& caller,
                         Reply<v1::ImportProfilesResponse> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  Post(core::ImportProfiles{request.file(), request.file_name()}, caller, std::move(reply),
       [rows = request.file().rows_size()](
           const Answer&) -> absl::StatusOr<v1::ImportProfilesResponse> {
         v1::ImportProfilesResponse response;
         response.set_imported(rows);
         return response;
       });
}

void Api::RemoveImportedProfiles(const v1::RemoveImportedProfilesRequest& request,
                                 const v1::EventCaller& caller,
                                 Reply<v1::RemoveImportedProfilesResponse> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  scheduler::ProfileTable profiles = runtime_.Version()->profiles;
  const int rows = profiles.RemoveImported(request.device_class());
  Post(core::RemoveImportedProfiles{request.device_class()}, caller, std::move(reply),
       [rows](const Answer&) -> absl::StatusOr<v1::RemoveImportedProfilesResponse> {
         v1::RemoveImportedProfilesResponse response;
         response.set_removed(rows);
         return response;
       });
}

std::set<ArtifactId> Api::LiveArtifacts() const {
  return runtime_.Read([](const core::State& state) {
    std::set<ArtifactId> live;
    for (const int64_t number : state.open_jobs) {
      for (const v1::ResolvedInput& input : state.jobs.at(number).job().inputs()) {
        live.insert(ArtifactId(input.artifact_id()));
      }
      for (const v1::Attempt& attempt : state.jobs.at(number).job().attempts()) {
        if (!IsTerminal(attempt.state()) && attempt.has_model_choice()) {
          live.insert(ArtifactId(attempt.model_choice().artifact_id()));
        }
      }
      if (state.jobs.at(number).has_checkpoint()) {
        live.insert(ArtifactId(state.jobs.at(number).checkpoint().artifact_id()));
      }
    }
    for (const auto& [name, id] : state.artifact_names) {
      live.insert(id);  // A name keeps the artifact that it points to.
    }
    return live;
  });
}

}  // namespace wattle::runtime
