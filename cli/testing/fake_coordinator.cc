// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/testing/fake_coordinator.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "cli/job_view.h"
#include "cli/testing/sample_messages.h"

#include "artifacts/manifest.h"
#include "proto/job_summary.h"

namespace wattle::cli {
namespace {

grpc::Status NotFound(const std::string& what) {
  return {grpc::StatusCode::NOT_FOUND, what};
}

class FakeJobs : public v1::JobService::Service {
 public:
  explicit FakeJobs(FakeState* state) : state_(*state) {}

  grpc::Status SubmitJob(grpc::ServerContext*, const v1::SubmitJobRequest* request,
                         v1::SubmitJobResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    bool existed = false;
    for (const v1::SubmitJobRequest& earlier : state_.submits) {
      existed = existed || earlier.idempotency_key() == request->idempotency_key();
    }
    state_.submits.push_back(*request);
    if (state_.submits.size() > state_.submits_refused_from) {
      return NotFound("finetune.model: no model gpt2; see wattle model ls");
    }
    if (state_.submits_unavailable > 0) {
      --state_.submits_unavailable;
      return {grpc::StatusCode::UNAVAILABLE, "Socket closed"};
    }
    response->mutable_job()->set_job_id("j7");
    *response->mutable_job()->mutable_spec() = request->spec();
    response->mutable_job()->set_state(v1::JOB_STATE_QUEUED);
    response->set_existed(existed);
    return grpc::Status::OK;
  }
  grpc::Status PlanJob(grpc::ServerContext*, const v1::PlanRequest* request,
                       v1::PlanResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    state_.plans.push_back(*request);
    *response = state_.plan;
    return state_.plan_status;
  }
  grpc::Status GetTimetable(grpc::ServerContext*, const v1::TimetableRequest* request,
                            v1::Timetable* response) override {
    const absl::MutexLock lock(&state_.mutex);
    *response = state_.timetable;
    response->set_horizon_seconds(request->horizon_seconds());
    return grpc::Status::OK;
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::Job* response) override {
    const absl::MutexLock lock(&state_.mutex);
    const auto found = state_.jobs.find(request->job_id());
    if (found == state_.jobs.end()) {
      return NotFound(absl::StrCat("no job ", request->job_id(), "; see wattle jobs"));
    }
    *response = found->second;
    return grpc::Status::OK;
  }
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    for (const auto& [id, job] : state_.jobs) {
      bool wanted = request->states().empty();
      for (const int wanted_state : request->states()) {
        wanted = wanted || wanted_state == job.state();
      }
      if (!wanted) {
        continue;
      }
      if (!request->page_token().empty() && id < request->page_token()) {
        continue;
      }
      if (response->jobs_size() + response->summaries_size() == state_.jobs_of_a_page) {
        response->set_next_page_token(id);
        break;
      }
      if (request->summaries()) {
        *response->add_summaries() = Summarize(job);
      } else {
        *response->add_jobs() = job;
      }
    }
    state_.lists.push_back(*request);
    return grpc::Status::OK;
  }
  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::Job* response) override {
    const absl::MutexLock lock(&state_.mutex);
    state_.cancels.push_back(*request);
    const auto found = state_.jobs.find(request->job_id());
    if (found == state_.jobs.end()) {
      return NotFound(absl::StrCat("no job ", request->job_id(), "; see wattle jobs"));
    }
    if (found->second.state() == v1::JOB_STATE_SUCCEEDED) {
      return {grpc::StatusCode::FAILED_PRECONDITION,
              absl::StrCat(request->job_id(), " has succeeded; there is nothing to cancel")};
    }
    found->second.set_state(v1::JOB_STATE_CANCELLED);
    found->second.set_reason(request->reason());
    *response = found->second;
    return grpc::Status::OK;
  }
  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest*,
                        grpc::ServerWriter<v1::JobUpdate>* writer) override {
    std::vector<v1::JobUpdate> updates;
    std::function<void()> on_watch;
    bool broken = false;
    {
      const absl::MutexLock lock(&state_.mutex);
      updates = state_.updates;
      on_watch = state_.on_watch;
      broken = state_.watches_broken > 0;
      state_.watches_broken -= broken ? 1 : 0;
    }
    for (size_t i = 0; i < updates.size(); ++i) {
      writer->Write(updates[i]);
      if (i == 0 && broken) {
        return {grpc::StatusCode::UNAVAILABLE, "Socket closed"};
      }
      if (i == 0 && on_watch) {
        on_watch();
        while (writer->Write(updates[0])) {  // until the client is gone
        }
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status GetJobLogs(grpc::ServerContext*, const v1::GetJobLogsRequest* request,
                          grpc::ServerWriter<v1::LogLine>* writer) override {
    v1::LogLine line;
    line.set_at_unix_seconds(kSampleNowUnixSeconds);
    line.set_attempt_id(request->job_id() + ".1");
    line.set_text("loaded 124.44 M parameters");
    writer->Write(line);
    return grpc::Status::OK;
  }

 private:
  FakeState& state_;
};

class FakeDevices : public v1::DeviceService::Service {
 public:
  explicit FakeDevices(FakeState* state) : state_(*state) {}

  grpc::Status ListDevices(grpc::ServerContext*, const v1::ListDevicesRequest*,
                           v1::ListDevicesResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    *response = SampleDevices();
    return state_.devices_status;
  }
  grpc::Status GetDevice(grpc::ServerContext*, const v1::GetDeviceRequest* request,
                         v1::Device* response) override {
    return Find(request->device(), response);
  }
  grpc::Status DrainDevice(grpc::ServerContext*, const v1::DrainDeviceRequest* request,
                           v1::Device* response) override {
    const absl::MutexLock lock(&state_.mutex);
    state_.drains.push_back(*request);
    const grpc::Status status = Find(request->device(), response);
    response->set_drained(true);
    response->set_drain_reason(request->reason());
    return status;
  }
  grpc::Status ResumeDevice(grpc::ServerContext*, const v1::ResumeDeviceRequest* request,
                            v1::Device* response) override {
    const grpc::Status status = Find(request->device(), response);
    response->set_drained(false);
    return status;
  }
  grpc::Status RemoveDevice(grpc::ServerContext*, const v1::RemoveDeviceRequest* request,
                            v1::RemoveDeviceResponse* response) override {
    v1::Device device;
    const grpc::Status status = Find(request->device(), &device);
    const absl::MutexLock lock(&state_.mutex);
    state_.device_removals.push_back(request->device());
    response->set_device_id(device.info().device_id());
    response->set_name(device.info().name());
    return status;
  }

 private:
  static grpc::Status Find(const std::string& name, v1::Device* out) {
    const v1::ListDevicesResponse fleet = SampleDevices();
    for (const v1::Device& device : fleet.devices()) {
      if (device.info().name() == name || device.info().device_id() == name) {
        *out = device;
        return grpc::Status::OK;
      }
    }
    return NotFound(absl::StrCat("no device ", name, "; see wattle devices"));
  }
  FakeState& state_;
};

class FakePolicies : public v1::PolicyService::Service {
 public:
  explicit FakePolicies(FakeState* state) : state_(*state) {}

  grpc::Status ApplyPolicy(grpc::ServerContext*, const v1::ApplyPolicyRequest* request,
                           v1::Policy* response) override {
    const absl::MutexLock lock(&state_.mutex);
    state_.applied.push_back(request->policy());
    *response = request->policy();
    return grpc::Status::OK;
  }
  grpc::Status ListPolicies(grpc::ServerContext*, const v1::ListPoliciesRequest*,
                            v1::ListPoliciesResponse* response) override {
    *response = SamplePolicies();
    const absl::MutexLock lock(&state_.mutex);
    for (const v1::Policy& policy : state_.applied) {
      *response->add_policies() = policy;
    }
    return grpc::Status::OK;
  }
  grpc::Status DeletePolicy(grpc::ServerContext*, const v1::DeletePolicyRequest* request,
                            v1::DeletePolicyResponse*) override {
    return request->name() == "field" ? grpc::Status::OK
                                      : NotFound(absl::StrCat("no policy ", request->name()));
  }

 private:
  FakeState& state_;
};

// Refuses a forecast in milliwatts at its second hour.
class FakeForecasts : public v1::ForecastService::Service {
 public:
  explicit FakeForecasts(FakeState* state) : state_(*state) {}

  grpc::Status PushForecast(grpc::ServerContext*, const v1::PushForecastRequest* request,
                            v1::HarvestForecast* response) override {
    if (request->forecast().power_watts_size() > 1 && request->forecast().power_watts(1) > 1000) {
      return {grpc::StatusCode::INVALID_ARGUMENT,
              "forecast.power_watts[1]: 42000 W at 2026-11-26T09:00:00Z is too much; want watts"};
    }
    const absl::MutexLock lock(&state_.mutex);
    state_.pushed_forecasts.push_back(request->forecast());
    *response = request->forecast();
    return grpc::Status::OK;
  }
  grpc::Status ListForecasts(grpc::ServerContext*, const v1::ListForecastsRequest*,
                             v1::ListForecastsResponse* response) override {
    *response = SampleForecasts();
    return grpc::Status::OK;
  }
  grpc::Status RemoveForecast(grpc::ServerContext*, const v1::RemoveForecastRequest* request,
                              v1::RemoveForecastResponse*) override {
    return request->name() == "weather" ? grpc::Status::OK
                                        : NotFound(absl::StrCat("no forecast ", request->name()));
  }

 private:
  FakeState& state_;
};

// Has only the release 0.3.0, and one upgrade, which is paused.
class FakeUpgrades : public v1::UpgradeService::Service {
 public:
  explicit FakeUpgrades(FakeState* state) : state_(*state) {}

  grpc::Status PlanUpgrade(grpc::ServerContext*, const v1::StartUpgradeRequest* request,
                           v1::Upgrade* response) override {
    const grpc::Status status = Take(*request);
    *response = SampleUpgrade();
    response->clear_upgrade_id();
    return status;
  }
  grpc::Status StartUpgrade(grpc::ServerContext*, const v1::StartUpgradeRequest* request,
                            v1::Upgrade* response) override {
    const grpc::Status status = Take(*request);
    *response = SampleUpgrade();
    return status;
  }
  grpc::Status GetUpgrade(grpc::ServerContext*, const v1::GetUpgradeRequest* request,
                          v1::Upgrade* response) override {
    *response = SampleUpgrade();
    return request->upgrade_id().empty() || request->upgrade_id() == response->upgrade_id()
               ? grpc::Status::OK
               : NotFound(absl::StrCat("no upgrade ", request->upgrade_id()));
  }
  grpc::Status PauseUpgrade(grpc::ServerContext*, const v1::PauseUpgradeRequest* request,
                            v1::Upgrade* response) override {
    return Change(v1::UPGRADE_STATE_PAUSED, request->reason(), response);
  }
  grpc::Status ResumeUpgrade(grpc::ServerContext*, const v1::ResumeUpgradeRequest*,
                             v1::Upgrade* response) override {
    return Change(v1::UPGRADE_STATE_RUNNING, "", response);
  }
  grpc::Status AbortUpgrade(grpc::ServerContext*, const v1::AbortUpgradeRequest* request,
                            v1::Upgrade* response) override {
    return Change(v1::UPGRADE_STATE_ABORTED, request->reason(), response);
  }

 private:
  grpc::Status Take(const v1::StartUpgradeRequest& request) {
    if (request.version() != "0.3.0") {
      return {grpc::StatusCode::INVALID_ARGUMENT,
              absl::StrCat("version ", request.version(), ": no release of it is here")};
    }
    const absl::MutexLock lock(&state_.mutex);
    state_.upgrades.push_back(request);
    return grpc::Status::OK;
  }
  grpc::Status Change(v1::UpgradeState state, const std::string& reason, v1::Upgrade* response) {
    const absl::MutexLock lock(&state_.mutex);
    state_.upgrade_reasons.push_back(reason);
    *response = SampleUpgrade();
    response->set_state(state);
    response->set_reason(reason);
    return grpc::Status::OK;
  }

  FakeState& state_;
};

class FakeProfiles : public v1::ProfileService::Service {
 public:
  explicit FakeProfiles(FakeState* state) : state_(*state) {}

  grpc::Status ListProfiles(grpc::ServerContext*, const v1::ListProfilesRequest* request,
                            v1::ListProfilesResponse* response) override {
    const v1::ListProfilesResponse profiles = SampleProfiles();
    for (const v1::ProfileRow& row : profiles.rows()) {
      if (request->device_class().empty() || row.device_class() == request->device_class()) {
        *response->add_rows() = row;
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status ImportProfiles(grpc::ServerContext*, const v1::ImportProfilesRequest* request,
                              v1::ImportProfilesResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    state_.imports.push_back(*request);
    response->set_imported(request->file().rows_size());
    return state_.import_status;
  }
  grpc::Status RemoveImportedProfiles(grpc::ServerContext*,
                                      const v1::RemoveImportedProfilesRequest* request,
                                      v1::RemoveImportedProfilesResponse* response) override {
    response->set_removed(3);
    return request->device_class() == "abacus"
               ? NotFound("no imported profile rows of class abacus")
               : grpc::Status::OK;
  }

 private:
  FakeState& state_;
};

class FakeArtifacts : public v1::ArtifactService::Service {
 public:
  explicit FakeArtifacts(FakeState* state) : state_(*state) {}

  grpc::Status MissingChunks(grpc::ServerContext*, const v1::MissingChunksRequest* request,
                             v1::MissingChunksResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    response->set_artifact_id(artifacts::IdOf(request->manifest()).value());
    std::set<std::string> named;
    for (const v1::ManifestFile& file : request->manifest().files()) {
      for (const std::string& chunk : file.chunk_sha256()) {
        if (state_.chunks.count(chunk) == 0 && named.insert(chunk).second) {
          response->add_chunk_sha256(chunk);
        }
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status PutChunks(grpc::ServerContext*, grpc::ServerReader<v1::PutChunkRequest>* reader,
                         v1::PutChunksResponse* response) override {
    v1::PutChunkRequest chunk;
    while (reader->Read(&chunk)) {
      const absl::MutexLock lock(&state_.mutex);
      response->set_received_bytes(response->received_bytes() +
                                   static_cast<int64_t>(chunk.data().size()));
      state_.chunks[chunk.sha256()] = chunk.data();
    }
    return grpc::Status::OK;
  }
  grpc::Status CommitArtifact(grpc::ServerContext*, const v1::CommitArtifactRequest* request,
                              v1::ArtifactInfo* response) override {
    const absl::MutexLock lock(&state_.mutex);
    *response = request->info();
    response->set_artifact_id(artifacts::IdOf(request->manifest()).value());
    response->set_size_bytes(artifacts::SizeBytes(request->manifest()));
    state_.commits.push_back(*request);
    state_.manifests[response->artifact_id()] = request->manifest();
    state_.artifacts.push_back(*response);
    return grpc::Status::OK;
  }
  grpc::Status GetManifest(grpc::ServerContext*, const v1::GetManifestRequest* request,
                           v1::Manifest* response) override {
    const absl::MutexLock lock(&state_.mutex);
    const auto found = state_.manifests.find(request->artifact_id());
    if (found == state_.manifests.end()) {
      return NotFound("no such artifact");
    }
    *response = found->second;
    return grpc::Status::OK;
  }
  grpc::Status GetChunks(grpc::ServerContext*, const v1::GetChunksRequest* request,
                         grpc::ServerWriter<v1::Chunk>* writer) override {
    for (const std::string& sha256 : request->sha256()) {
      v1::Chunk chunk;
      chunk.set_sha256(sha256);
      {
        const absl::MutexLock lock(&state_.mutex);
        const auto found = state_.chunks.find(sha256);
        if (found == state_.chunks.end()) {
          return NotFound("no such chunk");
        }
        chunk.set_data(found->second);
      }
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }
  grpc::Status ListArtifacts(grpc::ServerContext*, const v1::ListArtifactsRequest* request,
                             v1::ListArtifactsResponse* response) override {
    *response = request->kind() == v1::ARTIFACT_KIND_DATASET   ? SampleDataSets()
                : request->kind() == v1::ARTIFACT_KIND_RELEASE ? SampleReleases()
                                                               : SampleModels();
    return grpc::Status::OK;
  }
  grpc::Status ResolveArtifact(grpc::ServerContext*, const v1::ResolveArtifactRequest* request,
                               v1::ArtifactInfo* response) override {
    const absl::MutexLock lock(&state_.mutex);
    for (const v1::ArtifactInfo& artifact : state_.artifacts) {
      if (artifact.name() == request->reference()) {
        *response = artifact;
        return grpc::Status::OK;
      }
    }
    return NotFound(absl::StrCat("no artifact ", request->reference(), "; see wattle model ls"));
  }
  grpc::Status RemoveArtifact(grpc::ServerContext*, const v1::RemoveArtifactRequest* request,
                              v1::RemoveArtifactResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    state_.artifact_removals.push_back(*request);
    response->set_artifact_id(std::string(64, 'a'));
    response->add_names(request->reference());
    response->set_artifact_removed(request->reference() != "one-of-two");
    response->set_size_bytes(2048);
    return grpc::Status::OK;
  }

 private:
  FakeState& state_;
};

class FakeOverview : public v1::CoordinatorService::Service {
 public:
  explicit FakeOverview(FakeState* state) : state_(*state) {}

  grpc::Status GetCoordinator(grpc::ServerContext*, const v1::GetCoordinatorRequest*,
                              v1::CoordinatorStatus* response) override {
    const absl::MutexLock lock(&state_.mutex);
    *response = state_.coordinator;
    return grpc::Status::OK;
  }
  grpc::Status WatchEvents(grpc::ServerContext*, const v1::WatchEventsRequest*,
                           grpc::ServerWriter<v1::FleetEvent>* writer) override {
    const absl::MutexLock lock(&state_.mutex);
    for (const v1::FleetEvent& event : state_.events) {
      writer->Write(event);
    }
    return grpc::Status::OK;
  }
  grpc::Status ReportEnergy(grpc::ServerContext*, const v1::ReportEnergyRequest* request,
                            v1::EnergyReport* response) override {
    const absl::MutexLock lock(&state_.mutex);
    state_.energy_requests.push_back(*request);
    *response = state_.energy;
    return grpc::Status::OK;
  }

 private:
  FakeState& state_;
};

class FakeAccess : public v1::AccessService::Service {
 public:
  explicit FakeAccess(FakeState* state) : state_(*state) {}

  grpc::Status RevokeToken(grpc::ServerContext*, const v1::RevokeTokenRequest* request,
                           v1::RevokeTokenResponse*) override {
    const absl::MutexLock lock(&state_.mutex);
    state_.token_revocations.push_back(request->token_id());
    return state_.revoke_status;
  }
  grpc::Status ListIdentities(grpc::ServerContext*, const v1::ListIdentitiesRequest*,
                              v1::ListIdentitiesResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    *response = state_.identities;
    return grpc::Status::OK;
  }
  // Knows the names that begin with "nano".
  grpc::Status ApproveDevice(grpc::ServerContext*, const v1::ApproveDeviceRequest* request,
                             v1::ApproveDeviceResponse* response) override {
    response->set_device_id(request->device());
    response->set_name(request->device().rfind("nano", 0) == 0 ? "mast" : "");
    return grpc::Status::OK;
  }
  grpc::Status RevokeDevice(grpc::ServerContext*, const v1::RevokeDeviceRequest*,
                            v1::RevokeDeviceResponse* response) override {
    const absl::MutexLock lock(&state_.mutex);
    *response = state_.revoked_device;
    return grpc::Status::OK;
  }
  grpc::Status RevokePerson(grpc::ServerContext*, const v1::RevokePersonRequest*,
                            v1::RevokePersonResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status SetQuota(grpc::ServerContext*, const v1::SetQuotaRequest*,
                        v1::SetQuotaResponse*) override {
    const absl::MutexLock lock(&state_.mutex);
    return state_.quota_status;
  }

 private:
  FakeState& state_;
};

}  // namespace

struct FakeCoordinator::Services {
  explicit Services(FakeState* state)
      : jobs(state),
        devices(state),
        policies(state),
        forecasts(state),
        upgrades(state),
        profiles(state),
        artifacts(state),
        overview(state),
        access(state) {}
  FakeJobs jobs;
  FakeDevices devices;
  FakePolicies policies;
  FakeForecasts forecasts;
  FakeUpgrades upgrades;
  FakeProfiles profiles;
  FakeArtifacts artifacts;
  FakeOverview overview;
  FakeAccess access;
};

FakeCoordinator::FakeCoordinator() : services_(std::make_unique<Services>(&state_)) {
  state_.plan = SamplePlan();
  state_.coordinator = SampleCoordinator();
  state_.energy = SampleEnergy();
  state_.events = SampleEvents();
  const v1::ListJobsResponse samples = SampleJobs();
  for (const v1::Job& job : samples.jobs()) {
    state_.jobs[job.job_id()] = job;
  }
  state_.updates = {SampleRunning()};
  state_.updates.emplace_back();
  *state_.updates.back().mutable_job() = SampleRunning().job();
  state_.updates.back().mutable_job()->set_state(v1::JOB_STATE_SUCCEEDED);
  state_.updates.back().mutable_job()->clear_reason();
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(&services_->jobs);
  builder.RegisterService(&services_->devices);
  builder.RegisterService(&services_->policies);
  builder.RegisterService(&services_->forecasts);
  builder.RegisterService(&services_->upgrades);
  builder.RegisterService(&services_->profiles);
  builder.RegisterService(&services_->artifacts);
  builder.RegisterService(&services_->overview);
  builder.RegisterService(&services_->access);
  server_ = builder.BuildAndStart();
}

FakeCoordinator::~FakeCoordinator() {
  server_->Shutdown();
}

std::string FakeCoordinator::address() const {
  return absl::StrCat("127.0.0.1:", port_);
}

}  // namespace wattle::cli
