// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How the calls of client.h are made. Private to the sources of Client. One thread.
#ifndef WATTLE_CLI_CLIENT_INTERNAL_H_
#define WATTLE_CLI_CLIENT_INTERNAL_H_

#include <chrono>
#include <memory>

#include "cli/client.h"
#include <grpcpp/grpcpp.h>

#include "base/status_macros.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/coordinator.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"
#include "wattle/v1/upgrade.grpc.pb.h"

namespace wattle::cli {

inline void SetTimeout(absl::Duration timeout, grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
}

struct Client::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : jobs(channel),
        devices(channel),
        policies(channel),
        forecasts(channel),
        upgrades(channel),
        profiles(channel),
        artifacts(channel),
        coordinator(channel),
        access(channel) {}
  v1::JobService::Stub jobs;
  v1::DeviceService::Stub devices;
  v1::PolicyService::Stub policies;
  v1::ForecastService::Stub forecasts;
  v1::UpgradeService::Stub upgrades;
  v1::ProfileService::Stub profiles;
  v1::ArtifactService::Stub artifacts;
  v1::CoordinatorService::Stub coordinator;
  v1::AccessService::Stub access;
};

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(Stub& stub, Method<Stub, Request, Response> method,
                                      const Request& request, absl::Duration timeout) {
  WATTLE_RETURN_IF_ERROR(address_);
  grpc::ClientContext context;
  SetTimeout(timeout, &context);
  Response response;
  grpc::Status status;
  {
    const CancelOnInterrupt cancel(*environment_.interrupt, [&] { context.TryCancel(); });
    status = (stub.*method)(&context, request, &response);
  }
  if (!status.ok()) {
    return Explain(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  return response;
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(Stub& stub, Method<Stub, Request, Response> method,
                                      const Request& request) {
  return Call(stub, method, request, options_.timeout);
}

}  // namespace wattle::cli

#endif  // WATTLE_CLI_CLIENT_INTERNAL_H_
