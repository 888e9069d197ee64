// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The calls that both transports (rpc, http) offer, in the messages of proto/wattle/v1. Each call
// checks the request, reads the durable view or posts a command, and converts the answer. Api takes
// no decisions. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_API_H_
#define WATTLE_COORDINATOR_RUNTIME_API_H_

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "coordinator/core/projects.h"
#include "coordinator/runtime/runtime.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/journal.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::runtime {

template <typename Response>
using Reply = std::function<void(const absl::StatusOr<Response>&)>;

class Api {
 public:
  // runtime: must outlive the Api and every reply.
  explicit Api(Runtime& runtime) : runtime_(runtime) {}

  [[nodiscard]] absl::StatusOr<v1::Job> GetJob(const v1::GetJobRequest& request) const;
  // Jobs out of the scope are treated as missing.
  [[nodiscard]] absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request,
                                                              const core::Scope& scope) const;
  // The job, open or archived, with the progress of its current attempt and without explanations
  // (GetJob adds them). Errors: kNotFound.
  [[nodiscard]] absl::StatusOr<v1::JobUpdate> UpdateOf(const JobId& job) const;
  [[nodiscard]] absl::StatusOr<v1::ListDevicesResponse> ListDevices(
      const v1::ListDevicesRequest& request) const;
  [[nodiscard]] absl::StatusOr<v1::Device> GetDevice(const v1::GetDeviceRequest& request) const;
  [[nodiscard]] absl::StatusOr<v1::ListPoliciesResponse> ListPolicies(
      const v1::ListPoliciesRequest& r) const;
  [[nodiscard]] absl::StatusOr<v1::ListForecastsResponse> ListForecasts(
      const v1::ListForecastsRequest& request) const;
  [[nodiscard]] absl::StatusOr<v1::ListProfilesResponse> ListProfiles(
      const v1::ListProfilesRequest& r) const;
  [[nodiscard]] absl::StatusOr<v1::ListArtifactsResponse> ListArtifacts(
      const v1::ListArtifactsRequest& r, const core::Scope& scope) const;
  [[nodiscard]] absl::StatusOr<v1::ArtifactInfo> ResolveArtifact(
      const v1::ResolveArtifactRequest& r, const core::Scope& scope) const;

  // Replies exactly once. A request that is refused without a command is answered at once on this
  // thread; every other reply comes on another thread after the commit. caller: for the audit.
  void SubmitJob(const v1::SubmitJobRequest& request, const v1::EventCaller& caller,
                 Reply<v1::SubmitJobResponse> reply);
  // Posts no command.
  [[nodiscard]] absl::StatusOr<v1::PlanResponse> PlanJob(const v1::PlanRequest& request) const;
  // Plans the queue again and starts nothing.
  [[nodiscard]] absl::StatusOr<v1::Timetable> GetTimetable(
      const v1::TimetableRequest& request) const;
  void CancelJob(const v1::CancelJobRequest& request, const v1::EventCaller& caller,
                 Reply<v1::Job> reply);
  void DrainDevice(const v1::DrainDeviceRequest& request, const v1::EventCaller& caller,
                   Reply<v1::Device> reply);
  void ResumeDevice(const v1::ResumeDeviceRequest& request, const v1::EventCaller& caller,
                    Reply<v1::Device> reply);
  void RemoveDevice(const v1::RemoveDeviceRequest& request, const v1::EventCaller& caller,
                    Reply<v1::RemoveDeviceResponse> reply);
  void ApplyPolicy(const v1::ApplyPolicyRequest& request, const v1::EventCaller& caller,
                   Reply<v1::Policy> reply);
  void DeletePolicy(const v1::DeletePolicyRequest& request, const v1::EventCaller& caller,
                    Reply<v1::DeletePolicyResponse> reply);
  // by: id of the pusher.
  void PushForecast(const v1::PushForecastRequest& request, const std::string& by,
                    const v1::EventCaller& caller, Reply<v1::HarvestForecast> reply);
  void RemoveForecast(const v1::RemoveForecastRequest& request, const v1::EventCaller& caller,
                      Reply<v1::RemoveForecastResponse> reply);
  void ImportProfiles(const v1::ImportProfilesRequest& request, const v1::EventCaller& caller,
                      Reply<v1::ImportProfilesResponse> reply);
  void RemoveImportedProfiles(const v1::RemoveImportedProfilesRequest& request,
                              const v1::EventCaller& caller,
                              Reply<v1::RemoveImportedProfilesResponse> reply);

  // Artifacts that open jobs or names need, which eviction spares.
  [[nodiscard]] std::set<ArtifactId> LiveArtifacts() const;

  Runtime& runtime() { return runtime_; }

 private:
  // The jobs that the spec refers to and that exist only in the history.
  [[nodiscard]] std::vector<v1::Job> ArchivedSources(const core::State& state,
                                                     const v1::JobSpec& spec) const;
  // The response to a submit that made the job, or whose key did so earlier (existed).
  [[nodiscard]] absl::StatusOr<v1::SubmitJobResponse> Submitted(const JobId& job,
                                                                bool existed) const;
  // nullopt: no job of the state or of the history has the request's key.
  [[nodiscard]] absl::StatusOr<std::optional<v1::SubmitJobResponse>> RepeatedSubmit(
      const core::State& state, const v1::SubmitJobRequest& request) const;
  template <typename Response, typename Convert>
  void Post(core::Command&& command, const v1::EventCaller& caller, Reply<Response> reply,
            Convert convert);

  Runtime& runtime_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_API_H_
