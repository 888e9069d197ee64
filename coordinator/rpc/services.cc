// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/services.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/support/server_callback.h"

#include "artifacts/transfer/grpc_status.h"
#include "coordinator/rpc/job_streams.h"
#include "coordinator/runtime/upgrade_api.h"
#include "wattle/v1/service.grpc.pb.h"
#include "wattle/v1/upgrade.grpc.pb.h"

namespace wattle::rpc {
namespace {

using Context = grpc::CallbackServerContext;
using Reactor = grpc::ServerUnaryReactor;

// Answers at once.
template <typename Response>
Reactor* Now(Context* context, absl::StatusOr<Response> result, Response* response) {
  Reactor* reactor = context->DefaultReactor();
  const absl::Status status = result.status();
  if (status.ok()) {
    *response = *std::move(result);
  }
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// Answers when the reply comes; the reply of a command comes after it is durable. `command` gets
// the reply callback. The response lives until Finish.
template <typename Response, typename Command>
Reactor* Later(Context* context, Response* response, const Command& command) {
  Reactor* reactor = context->DefaultReactor();
  command([reactor, response](const absl::StatusOr<Response>& result) {
    if (result.ok()) {
      *response = *result;
    }
    reactor->Finish(ToGrpc(result.status()));
  });
  return reactor;
}

class JobService final : public v1::JobService::CallbackService {
 public:
  JobService(runtime::Api& api, const Gate& gate) : api_(api), gate_(gate) {}

  Reactor* SubmitJob(Context* context, const v1::SubmitJobRequest* request,
                     v1::SubmitJobResponse* response) override {
    v1::SubmitJobRequest owned = *request;
    absl::Status status = SetOwner(*context, *owned.mutable_spec());
    status.Update(CheckProject(*context, "/wattle.v1.JobService/SubmitJob", owned.spec()));
    if (!status.ok()) {
      return Now(context, absl::StatusOr<v1::SubmitJobResponse>(status), response);
    }
    return Later(context, response, [&](auto reply) {
      api_.SubmitJob(owned, gate_.EventCallerOf(*context), std::move(reply));
    });
  }
  Reactor* GetJob(Context* context, const v1::GetJobRequest* request, v1::Job* response) override {
    const absl::Status may = CheckJob(*context, "/wattle.v1.JobService/GetJob", request->job_id());
    return Now(context, may.ok() ? api_.GetJob(*request) : absl::StatusOr<v1::Job>(may), response);
  }
  Reactor* ListJobs(Context* context, const v1::ListJobsRequest* request,
                    v1::ListJobsResponse* response) override {
    const absl::StatusOr<core::Scope> scope =
        gate_.ScopeOf(*context, "/wattle.v1.JobService/ListJobs");
    return Now(context,
               scope.ok() ? api_.ListJobs(*request, *scope)
                          : absl::StatusOr<v1::ListJobsResponse>(scope.status()),
               response);
  }
  Reactor* CancelJob(Context* context, const v1::CancelJobRequest* request,
                     v1::Job* response) override {
    const absl::Status status =
        CheckJob(*context, "/wattle.v1.JobService/CancelJob", request->job_id());
    if (!status.ok()) {
      return Now(context, absl::StatusOr<v1::Job>(status), response);
    }
    return Later(context, response, [&](auto reply) {
      api_.CancelJob(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }
  grpc::ServerWriteReactor<v1::JobUpdate>* WatchJob(Context* context,
                                                    const v1::WatchJobRequest* request) override {
    return OpenJobWatch(api_, *request,
                        OpenStream(*context, "/wattle.v1.JobService/WatchJob", request->job_id()));
  }
  grpc::ServerWriteReactor<v1::LogLine>* GetJobLogs(Context* context,
                                                    const v1::GetJobLogsRequest* request) override {
    return OpenJobLogs(api_, *request,
                       OpenStream(*context, "/wattle.v1.JobService/GetJobLogs", request->job_id()));
  }
  Reactor* PlanJob(Context* context, const v1::PlanRequest* request,
                   v1::PlanResponse* response) override {
    constexpr char kMethod[] = "/wattle.v1.JobService/PlanJob";
    const absl::Status may = request->job_id().empty()
                                 ? CheckProject(*context, kMethod, request->spec())
                                 : CheckJob(*context, kMethod, request->job_id());
    if (!may.ok()) {
      return Now(context, absl::StatusOr<v1::PlanResponse>(may), response);
    }
    return Now(context, api_.PlanJob(*request), response);
  }
  Reactor* GetTimetable(Context* context, const v1::TimetableRequest* request,
                        v1::Timetable* response) override {
    return Now(context, api_.GetTimetable(*request), response);
  }

 private:
  // A job belongs to whoever submits it.
  absl::Status SetOwner(const Context& context, v1::JobSpec& spec) const {
    const absl::StatusOr<Caller> caller = gate_.CallerOf(context);
    return caller.ok() ? callers::SetOwner(*caller, spec) : caller.status();
  }
  absl::Status CheckProject(const Context& context, absl::string_view method,
                            const v1::JobSpec& spec) const {
    const absl::StatusOr<Caller> caller = gate_.CallerOf(context);
    return caller.ok()
               ? core::CheckProject(*api_.runtime().Version(), callers::ScopeOf(*caller, method),
                                    caller->identity.id, core::ProjectOf(spec))
               : caller.status();
  }
  absl::Status CheckJob(const Context& context, absl::string_view method,
                        const std::string& job_id) const {
    const absl::StatusOr<v1::JobUpdate> job = api_.UpdateOf(JobId(job_id));
    if (!job.ok()) {
      return absl::OkStatus();  // The call itself says that there is no such job.
    }
    return gate_
        .Check(context, method,
               {.project = core::ProjectOf(job->job().spec()), .owner = job->job().spec().owner()})
        .status();
  }
  CountedStream OpenStream(const Context& context, absl::string_view method,
                           const std::string& job_id) const {
    const absl::Status may = CheckJob(context, method, job_id);
    return may.ok() ? gate_.OpenStream(context) : CountedStream(may);
  }

  runtime::Api& api_;
  const Gate& gate_;
};

class DeviceService final : public v1::DeviceService::CallbackService {
 public:
  DeviceService(runtime::Api& api, const Gate& gate) : api_(api), gate_(gate) {}

  Reactor* ListDevices(Context* context, const v1::ListDevicesRequest* request,
                       v1::ListDevicesResponse* response) override {
    return Now(context, api_.ListDevices(*request), response);
  }
  Reactor* GetDevice(Context* context, const v1::GetDeviceRequest* request,
                     v1::Device* response) override {
    return Now(context, api_.GetDevice(*request), response);
  }
  Reactor* DrainDevice(Context* context, const v1::DrainDeviceRequest* request,
                       v1::Device* response) override {
    return Later(context, response, [&](auto reply) {
      api_.DrainDevice(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }
  Reactor* ResumeDevice(Context* context, const v1::ResumeDeviceRequest* request,
                        v1::Device* response) override {
    return Later(context, response, [&](auto reply) {
      api_.ResumeDevice(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }
  Reactor* RemoveDevice(Context* context, const v1::RemoveDeviceRequest* request,
                        v1::RemoveDeviceResponse* response) override {
    return Later(context, response, [&](auto reply) {
      api_.RemoveDevice(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }

 private:
  runtime::Api& api_;
  const Gate& gate_;
};

class PolicyService final : public v1::PolicyService::CallbackService {
 public:
  PolicyService(runtime::Api& api, const Gate& gate) : api_(api), gate_(gate) {}

  Reactor* ApplyPolicy(Context* context, const v1::ApplyPolicyRequest* request,
                       v1::Policy* response) override {
    return Later(context, response, [&](auto reply) {
      api_.ApplyPolicy(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }
  Reactor* ListPolicies(Context* context, const v1::ListPoliciesRequest* request,
                        v1::ListPoliciesResponse* response) override {
    return Now(context, api_.ListPolicies(*request), response);
  }
  Reactor* DeletePolicy(Context* context, const v1::DeletePolicyRequest* request,
                        v1::DeletePolicyResponse* response) override {
    return Later(context, response, [&](auto reply) {
      api_.DeletePolicy(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }

 private:
  runtime::Api& api_;
  const Gate& gate_;
};

class ForecastService final : public v1::ForecastService::CallbackService {
 public:
  ForecastService(runtime::Api& api, const Gate& gate) : api_(api), gate_(gate) {}

  Reactor* PushForecast(Context* context, const v1::PushForecastRequest* request,
                        v1::HarvestForecast* response) override {
    const absl::StatusOr<Caller> caller = gate_.CallerOf(*context);
    if (!caller.ok()) {
      return Now(context, absl::StatusOr<v1::HarvestForecast>(caller.status()), response);
    }
    return Later(context, response, [&](auto reply) {
      api_.PushForecast(*request, caller->identity.id, gate_.EventCallerOf(*context),
                        std::move(reply));
    });
  }
  Reactor* ListForecasts(Context* context, const v1::ListForecastsRequest* request,
                         v1::ListForecastsResponse* response) override {
    return Now(context, api_.ListForecasts(*request), response);
  }
  Reactor* RemoveForecast(Context* context, const v1::RemoveForecastRequest* request,
                          v1::RemoveForecastResponse* response) override {
    return Later(context, response, [&](auto reply) {
      api_.RemoveForecast(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }

 private:
  runtime::Api& api_;
  const Gate& gate_;
};

class UpgradeService final : public v1::UpgradeService::CallbackService {
 public:
  UpgradeService(runtime::Api& api, const Gate& gate, const std::string& version)
      : api_(api.runtime(), version), gate_(gate) {}

  Reactor* PlanUpgrade(Context* context, const v1::StartUpgradeRequest* request,
                       v1::Upgrade* response) override {
    return Now(context, api_.PlanUpgrade(*request), response);
  }
  Reactor* StartUpgrade(Context* context, const v1::StartUpgradeRequest* request,
                        v1::Upgrade* response) override {
    return Later(context, response, [&](auto reply) {
      api_.StartUpgrade(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }
  Reactor* GetUpgrade(Context* context, const v1::GetUpgradeRequest* request,
                      v1::Upgrade* response) override {
    return Now(context, api_.GetUpgrade(*request), response);
  }
  Reactor* PauseUpgrade(Context* context, const v1::PauseUpgradeRequest* request,
                        v1::Upgrade* response) override {
    return Later(context, response, [&](auto reply) {
      api_.PauseUpgrade(*request, NameOf(*context), gate_.EventCallerOf(*context),
                        std::move(reply));
    });
  }
  Reactor* ResumeUpgrade(Context* context, const v1::ResumeUpgradeRequest* request,
                         v1::Upgrade* response) override {
    return Later(context, response, [&](auto reply) {
      api_.ResumeUpgrade(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }
  Reactor* AbortUpgrade(Context* context, const v1::AbortUpgradeRequest* request,
                        v1::Upgrade* response) override {
    return Later(context, response, [&](auto reply) {
      api_.AbortUpgrade(*request, NameOf(*context), gate_.EventCallerOf(*context),
                        std::move(reply));
    });
  }

 private:
  // For the reason that people read; the call itself was admitted before.
  [[nodiscard]] std::string NameOf(const Context& context) const {
    const absl::StatusOr<Caller> caller = gate_.CallerOf(context);
    return caller.ok() ? caller->identity.id : "";
  }

  runtime::UpgradeApi api_;
  const Gate& gate_;
};

class ProfileService final : public v1::ProfileService::CallbackService {
 public:
  ProfileService(runtime::Api& api, const Gate& gate) : api_(api), gate_(gate) {}

  Reactor* ListProfiles(Context* context, const v1::ListProfilesRequest* request,
                        v1::ListProfilesResponse* response) override {
    return Now(context, api_.ListProfiles(*request), response);
  }
  Reactor* ImportProfiles(Context* context, const v1::ImportProfilesRequest* request,
                          v1::ImportProfilesResponse* response) override {
    return Later(context, response, [&](auto reply) {
      api_.ImportProfiles(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }
  Reactor* RemoveImportedProfiles(Context* context,
                                  const v1::RemoveImportedProfilesRequest* request,
                                  v1::RemoveImportedProfilesResponse* response) override {
    return Later(context, response, [&](auto reply) {
      api_.RemoveImportedProfiles(*request, gate_.EventCallerOf(*context), std::move(reply));
    });
  }

 private:
  runtime::Api& api_;
  const Gate& gate_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeServices(runtime::Api& api, const Gate& gate,
                                                         const std::string& version) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<JobService>(api, gate));
  services.push_back(std::make_unique<DeviceService>(api, gate));
  services.push_back(std::make_unique<PolicyService>(api, gate));
  services.push_back(std::make_unique<ProfileService>(api, gate));
  services.push_back(std::make_unique<ForecastService>(api, gate));
  services.push_back(std::make_unique<UpgradeService>(api, gate, version));
  return services;
}

}  // namespace wattle::rpc
