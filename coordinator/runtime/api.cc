// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/api.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/runtime/unknown_fields.h"

namespace wattle::runtime {
namespace {

constexpr int kJobsDefault = 100;
constexpr int kJobsMax = 1000;

absl::Status NoSuchJob(const std::string& id) {
  return absl::NotFoundError(
      absl::StrCat("job \"", id, "\" is not known; 'wattle jobs' lists the jobs"));
}

}  // namespace

absl::StatusOr<v1::Job> Api::GetJob(const v1::GetJobRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  WATTLE_ASSIGN_OR_RETURN(v1::JobUpdate update, UpdateOf(JobId(request.job_id())));
  return std::move(*update.mutable_job());
}

absl::StatusOr<v1::JobUpdate> Api::UpdateOf(const JobId& job) const {
  const core::Observations observations =
      runtime_.board().SnapshotOf(runtime_.Read([&job](const core::State& state) {
        std::vector<DeviceId> devices;
        if (const v1::JobRecord* record = core::FindJob(state, job)) {
          for (const v1::Attempt& attempt : record->job().attempts()) {
            devices.emplace_back(attempt.device_id());
          }
        }
        return devices;
      }));
  return runtime_.Read([&](const core::State& state) -> absl::StatusOr<v1::JobUpdate> {
    if (core::FindJob(state, job) == nullptr) {
      return NoSuchJob(job.value());
    }
    v1::JobUpdate update;
    *update.mutable_job() = core::DescribeJob(state, observations, job, runtime_.Now());
    if (update.job().attempts_size() > 0) {
      const AttemptId current(update.job().attempts().rbegin()->attempt_id());
      const auto it = observations.progress.find(current);
      if (it != observations.progress.end()) {
        *update.mutable_progress() = it->second;
      }
    }
    return update;
  });
}

absl::StatusOr<v1::ListJobsResponse> Api::ListJobs(const v1::ListJobsRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  if (request.limit() < 0 || request.limit() > kJobsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit: ", request.limit(), ", wanted 0 to ", kJobsMax));
  }
  const int limit = request.limit() == 0 ? kJobsDefault : request.limit();
  const core::Observations observations = runtime_.board().Snapshot();
  const auto wanted = [&request](v1::JobState state) {
    return request.states().empty() || std::find(request.states().begin(), request.states().end(),
                                                 state) != request.states().end();
  };
  return runtime_.Read([&](const core::State& state) {
    v1::ListJobsResponse response;
    for (auto it = state.jobs.rbegin(); it != state.jobs.rend() && response.jobs_size() < limit;
         ++it) {
      if (wanted(it->second.job().state())) {
        *response.add_jobs() = core::DescribeJob(state, observations,
                                                 JobId(it->second.job().job_id()), runtime_.Now());
      }
    }
    return response;
  });
}

absl::StatusOr<v1::PlanResponse> Api::PlanJob(const v1::PlanRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const core::Observations observations = runtime_.board().Snapshot();
  return runtime_.Read([&](const core::State& state) {
    return core::DryRun(state, observations, runtime_.planning(), request, runtime_.Now());
  });
}

absl::StatusOr<v1::ListDevicesResponse> Api::ListDevices(
    const v1::ListDevicesRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const core::Observations observations = runtime_.board().Snapshot();
  v1::ListDevicesResponse response = runtime_.Read([&](const core::State& state) {
    v1::ListDevicesResponse devices;
    for (const auto& [id, record] : state.devices) {
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
  const core::Observations observations = runtime_.board().Snapshot();
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
    }
    return response;
  });
}

absl::StatusOr<v1::ListProfilesResponse> Api::ListProfiles(
    const v1::ListProfilesRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const std::vector<v1::ProfileRow> rows =
      runtime_.Read([](const core::State& state) { return core::ProfilesOf(state).Rows(); });
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
    const v1::ListArtifactsRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  v1::ListArtifactsResponse response = runtime_.Read([&](const core::State& state) {
    v1::ListArtifactsResponse artifacts;
    for (const auto& [id, info] : state.artifacts) {
      if (request.kind() == v1::ARTIFACT_KIND_UNSPECIFIED || request.kind() == info.kind()) {
        *artifacts.add_artifacts() = info;
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

absl::StatusOr<v1::ArtifactInfo> Api::ResolveArtifact(
    const v1::ResolveArtifactRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  return runtime_.Read([&](const core::State& state) -> absl::StatusOr<v1::ArtifactInfo> {
    WATTLE_ASSIGN_OR_RETURN(const ArtifactId id, core::ResolveArtifact(state, request.reference()));
    return state.artifacts.at(id);
  });
}

// Posts the command; `convert(answer)` makes the response of a successful one.
template <typename Response, typename Convert>
void Api::Post(core::Command&& command, Reply<Response> reply, Convert convert) {
  const absl::Status posted = runtime_.Post(
      std::move(command), [reply, convert = std::move(convert)](const Answer& answer) {
        if (answer.status.ok()) {
          reply(convert(answer));
        } else {
          reply(answer.status);
        }
      });
  if (!posted.ok()) {
    reply(posted);
  }
}

void Api::SubmitJob(const v1::SubmitJobRequest& request, Reply<v1::SubmitJobResponse> reply) {
  absl::Status status = RefuseUnknownFields(request);
  if (status.ok() && request.idempotency_key().empty()) {
    status = absl::InvalidArgumentError(
        "idempotency_key: missing; send one random text for each job, the same when repeating");
  }
  if (status.ok()) {
    status = core::ValidateSpec(request.spec(), /*files_needed=*/true);
  }
  if (status.ok()) {
    const core::Observations observations = runtime_.board().Snapshot();
    status = runtime_.Read([&](const core::State& state) {
      // A repeated submit is answered with the job of the first, whatever became of the fleet.
      return state.job_by_idempotency_key.contains(request.idempotency_key())
                 ? absl::OkStatus()
                 : core::CheckPossible(state, observations, runtime_.planning(), request.spec(),
                                       runtime_.Now());
    });
  }
  if (!status.ok()) {
    reply(status);
    return;
  }
  Post(core::SubmitJob{request.spec(), request.idempotency_key()}, std::move(reply),
       [this](const Answer& answer) -> absl::StatusOr<v1::SubmitJobResponse> {
         WATTLE_ASSIGN_OR_RETURN(v1::JobUpdate update, UpdateOf(JobId(answer.id)));
         v1::SubmitJobResponse response;
         response.mutable_job()->Swap(update.mutable_job());
         response.set_existed(answer.existed);
         return response;
       });
}

void Api::CancelJob(const v1::CancelJobRequest& request, Reply<v1::Job> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  const JobId job(request.job_id());
  Post(core::CancelJob{job, request.reason()}, std::move(reply),
       [this, job](const Answer&) -> absl::StatusOr<v1::Job> {
         WATTLE_ASSIGN_OR_RETURN(v1::JobUpdate update, UpdateOf(job));
         return std::move(*update.mutable_job());
       });
}

void Api::DrainDevice(const v1::DrainDeviceRequest& request, Reply<v1::Device> reply) {
  v1::GetDeviceRequest get;
  get.set_device(request.device());
  const absl::Status known = RefuseUnknownFields(request);
  const absl::StatusOr<v1::Device> device = GetDevice(get);
  if (!known.ok() || !device.ok()) {
    reply(known.ok() ? device.status() : known);
    return;
  }
  Post(core::DrainDevice{DeviceId(device->info().device_id()), request.reason()}, std::move(reply),
       [this, get](const Answer&) { return GetDevice(get); });
}

void Api::ResumeDevice(const v1::ResumeDeviceRequest& request, Reply<v1::Device> reply) {
  v1::GetDeviceRequest get;
  get.set_device(request.device());
  const absl::Status known = RefuseUnknownFields(request);
  const absl::StatusOr<v1::Device> device = GetDevice(get);
  if (!known.ok() || !device.ok()) {
    reply(known.ok() ? device.status() : known);
    return;
  }
  Post(core::ResumeDevice{DeviceId(device->info().device_id())}, std::move(reply),
       [this, get](const Answer&) { return GetDevice(get); });
}

void Api::ApplyPolicy(const v1::ApplyPolicyRequest& request, Reply<v1::Policy> reply) {
  absl::Status status = RefuseUnknownFields(request);
  if (status.ok()) {
    status = core::ValidatePolicy(request.policy());
  }
  if (!status.ok()) {
    reply(status);
    return;
  }
  Post(core::ApplyPolicy{request.policy()}, std::move(reply),
       [policy = request.policy()](const Answer&) -> absl::StatusOr<v1::Policy> { return policy; });
}

void Api::DeletePolicy(const v1::DeletePolicyRequest& request,
                       Reply<v1::DeletePolicyResponse> reply) {
  if (const absl::Status known = RefuseUnknownFields(request); !known.ok()) {
    reply(known);
    return;
  }
  Post(core::DeletePolicy{request.name()}, std::move(reply),
       [](const Answer&) -> absl::StatusOr<v1::DeletePolicyResponse> {
         return v1::DeletePolicyResponse();
       });
}

void Api::CommitArtifact(const v1::ArtifactInfo& info, Reply<v1::ArtifactInfo> reply) {
  Post(core::CommitArtifact{info}, std::move(reply),
       [this](const Answer& answer) -> absl::StatusOr<v1::ArtifactInfo> {
         v1::ResolveArtifactRequest resolve;
         resolve.set_reference(answer.id);
         return ResolveArtifact(resolve);
       });
}

std::set<ArtifactId> Api::LiveArtifacts() const {
  return runtime_.Read([](const core::State& state) {
    std::set<ArtifactId> live;
    for (const int64_t number : state.open_jobs) {
      for (const v1::ResolvedInput& input : state.jobs.at(number).job().inputs()) {
        live.insert(ArtifactId(input.artifact_id()));
      }
      if (state.jobs.at(number).has_checkpoint()) {
        live.insert(ArtifactId(state.jobs.at(number).checkpoint().artifact_id()));
      }
    }
    for (const auto& [name, id] : state.artifact_names) {
      live.insert(id);  // A name that people gave keeps its latest push.
    }
    return live;
  });
}

}  // namespace wattle::runtime
