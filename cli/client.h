// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Calls to a coordinator as plain functions: a request goes in, an absl::Status or a response comes
// out. No other file of this folder uses gRPC, except for the transfer of artifacts. Every call has
// a deadline. A stream has none: it ends when its connection is dead. The interrupt cancels calls
// and streams. An error has the coordinator's own words; kUnavailable says how to reach a
// coordinator. One thread.
#ifndef WATTLE_CLI_CLIENT_H_
#define WATTLE_CLI_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/environment.h"

#include "wattle/v1/access.pb.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/service.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace grpc {
class ChannelCredentials;
class ClientContext;
class Status;
}  // namespace grpc

namespace wattle::cli {

class Client {
 public:
  struct Options {
    std::string address;     // host:port
    std::string command;     // "job show": what is refused, for people
    absl::Duration timeout;  // of a call; a watch waits so long for a coordinator that went away
    std::shared_ptr<grpc::ChannelCredentials> credentials;
    absl::Status problem = {};  // not OK: there are no credentials; every call returns this error
  };
  // `environment` must outlive the client. The constructor sends nothing.
  Client(Options options, const Environment& environment);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // While the coordinator does not answer, the request is sent again with the same idempotency key,
  // a few times within the timeout. So a submit that was accepted without an answer stays one job.
  absl::StatusOr<v1::SubmitJobResponse> SubmitJob(const v1::SubmitJobRequest& request);
  // timeout_max: for a plan that nobody waits for long.
  absl::StatusOr<v1::PlanResponse> PlanJob(const v1::PlanRequest& request,
                                           absl::Duration timeout_max = absl::InfiniteDuration());
  absl::StatusOr<v1::Timetable> GetTimetable(absl::Duration horizon);
  absl::StatusOr<v1::Job> GetJob(const std::string& job_id);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request);
  absl::StatusOr<v1::Job> CancelJob(const v1::CancelJobRequest& request);
  // Returns when the job has ended. When the coordinator is lost, WatchJob calls on_lost once and
  // waits for the coordinator, at most `timeout` long. kUnavailable: the coordinator did not come
  // back.
  absl::Status WatchJob(const std::string& job_id,
                        const std::function<void(const v1::JobUpdate&)>& on_update,
                        const std::function<void(const absl::Status&)>& on_lost);
  absl::Status GetJobLogs(const v1::GetJobLogsRequest& request,
                          const std::function<void(const v1::LogLine&)>& on_line);

  absl::StatusOr<v1::ListDevicesResponse> ListDevices();
  absl::StatusOr<v1::Device> GetDevice(const std::string& device);
  absl::StatusOr<v1::Device> DrainDevice(const v1::DrainDeviceRequest& request);
  absl::StatusOr<v1::Device> ResumeDevice(const std::string& device);
  absl::StatusOr<v1::RemoveDeviceResponse> RemoveDevice(const std::string& device);

  absl::StatusOr<v1::Policy> ApplyPolicy(const v1::Policy& policy);
  absl::StatusOr<v1::ListPoliciesResponse> ListPolicies();
  absl::Status DeletePolicy(const std::string& name);

  absl::StatusOr<v1::HarvestForecast> PushForecast(const v1::HarvestForecast& forecast);
  absl::StatusOr<v1::ListForecastsResponse> ListForecasts();
  absl::Status RemoveForecast(const std::string& name);

  // Of upgrades (client_upgrade.cc).
  absl::StatusOr<v1::Upgrade> PlanUpgrade(const v1::StartUpgradeRequest& request);
  absl::StatusOr<v1::Upgrade> StartUpgrade(const v1::StartUpgradeRequest& request);
  // upgrade_id: empty for the latest.
  absl::StatusOr<v1::Upgrade> GetUpgrade(const std::string& upgrade_id);
  absl::StatusOr<v1::Upgrade> PauseUpgrade(const std::string& reason);
  absl::StatusOr<v1::Upgrade> ResumeUpgrade();
  absl::StatusOr<v1::Upgrade> AbortUpgrade(const std::string& reason);

  absl::StatusOr<v1::ListProfilesResponse> ListProfiles(const std::string& device_class);
  absl::StatusOr<v1::ImportProfilesResponse> ImportProfiles(
      const v1::ImportProfilesRequest& request);
  // device_class: empty for all.
  absl::StatusOr<v1::RemoveImportedProfilesResponse> RemoveImportedProfiles(
      const std::string& device_class);

  absl::StatusOr<v1::ListArtifactsResponse> ListArtifacts(v1::ArtifactKind kind);
  absl::StatusOr<v1::ArtifactInfo> ResolveArtifact(const std::string& reference);
  absl::StatusOr<v1::ArtifactInfo> SignArtifact(const v1::SignArtifactRequest& request);
  absl::StatusOr<v1::RemoveArtifactResponse> RemoveArtifact(
      const v1::RemoveArtifactRequest& request);
  // Sends a file or a directory and makes an artifact of it. Shows progress on the error stream.
  // move_name: the name may be taken from the artifact that has it. project: empty: "default".
  absl::StatusOr<v1::ArtifactInfo> PushArtifact(const std::string& path,
                                                const v1::ArtifactInfo& info, bool move_name,
                                                const std::string& project);
  absl::StatusOr<v1::Manifest> GetManifest(const std::string& artifact_id);
  // The bytes of one small file of an artifact. Each chunk is compared with its SHA-256.
  absl::StatusOr<std::string> ReadArtifactFile(const v1::ManifestFile& file);
  // Writes the artifact's files into `directory`, which must not exist yet. It appears whole or not
  // at all.
  absl::Status PullArtifact(const std::string& artifact_id, const std::string& directory);

  // HOST:PORT that the calls go to.
  [[nodiscard]] const std::string& address() const { return options_.address; }
  absl::StatusOr<v1::WhoAmIResponse> WhoAmI();
  absl::StatusOr<v1::CreateTokensResponse> CreateDeviceTokens(
      const v1::CreateDeviceTokensRequest& request);
  absl::StatusOr<v1::CreateTokensResponse> CreatePersonToken(
      const v1::CreatePersonTokenRequest& request);
  absl::StatusOr<v1::CreateTokensResponse> CreateServiceToken(
      const v1::CreateServiceTokenRequest& request);
  absl::Status RevokeToken(const std::string& token_id);
  absl::StatusOr<v1::ApproveDeviceResponse> ApproveDevice(const std::string& device);
  absl::StatusOr<v1::RevokeDeviceResponse> RevokeDevice(const v1::RevokeDeviceRequest& request);
  absl::StatusOr<v1::ListIdentitiesResponse> ListIdentities();
  absl::StatusOr<v1::GetAuthorityResponse> GetAuthority();
  absl::StatusOr<v1::GetAuthorityResponse> RotateAuthority();
  absl::StatusOr<v1::GetAuthorityResponse> RetireAuthority(
      const v1::RetireAuthorityRequest& request);
  absl::Status SetQuota(const v1::Quota& quota);
  absl::StatusOr<v1::ListQuotasResponse> ListQuotas();
  absl::StatusOr<v1::Project> SetProject(const v1::Project& project);
  absl::Status RemoveProject(const std::string& name);
  absl::StatusOr<v1::ListProjectsResponse> ListProjects();
  absl::Status SetMember(const v1::SetMemberRequest& request);
  absl::Status RevokePerson(const v1::RevokePersonRequest& request);

  absl::StatusOr<v1::CoordinatorStatus> GetCoordinator();
  absl::StatusOr<v1::EnergyReport> ReportEnergy(const v1::ReportEnergyRequest& request);
  // Past events first. With `follow` also the events to come, until the interrupt. A lost
  // coordinator is waited for as in WatchJob; the events of the time without it come when it is
  // back.
  absl::Status WatchEvents(v1::WatchEventsRequest request,
                           const std::function<void(const v1::FleetEvent&)>& on_event,
                           const std::function<void(const absl::Status&)>& on_lost);

 private:
  struct Stubs;
  template <typename Stub, typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub, Method<Stub, Request, Response> method,
                                const Request& request, absl::Duration timeout);
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub, Method<Stub, Request, Response> method,
                                const Request& request);
  // Reads the stream that `open` makes. When the coordinator is lost and comes back, Follow opens
  // the next stream.
  template <typename Message, typename Open>
  absl::Status Follow(const Open& open, const std::function<void(const Message&)>& on_message,
                      const std::function<void(const absl::Status&)>& on_lost);
  // The error of a failed call in words for the person who made the call.
  absl::Status Explain(absl::StatusCode code, const std::string& message) const;

  const Options options_;
  const Environment& environment_;
  absl::Status
      address_;  // of options.address, or options.problem; not OK: every call returns this error
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_CLIENT_H_
