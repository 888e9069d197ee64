// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/coordinator_service.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "artifacts/transfer/grpc_status.h"
#include "coordinator/access/access_table.h"
#include "coordinator/rpc/peer.h"
#include "coordinator/runtime/unknown_fields.h"
#include "proto/audited_events.h"

namespace wattle::rpc {
namespace {

constexpr char kWatchEvents[] = "/wattle.v1.CoordinatorService/WatchEvents";
constexpr char kReportEnergy[] = "/wattle.v1.CoordinatorService/ReportEnergy";
constexpr int kEventsDefault = 50;
constexpr size_t kEventsAtOnce = 200;

absl::Status CheckEventsRequest(const v1::WatchEventsRequest& request) {
  const absl::Status known = runtime::RefuseUnknownFields(request);
  const auto most = static_cast<int>(runtime::EventFeed::kEventsMax);
  if (known.ok() && (request.limit() < 0 || request.limit() > most)) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit: ", request.limit(), ", wanted 0 to ", most));
  }
  return known;
}

// The audit is for fewer callers than all events are.
absl::Status CheckMayRead(const Gate& gate, const grpc::ServerContext& context,
                          const v1::WatchEventsRequest& request) {
  return request.audited_alone() ? gate.Check(context, access::kReadAudit, {}).status()
                                 : absl::OkStatus();
}

// From where others call is the operators' business.
v1::FleetEvent Shown(v1::FleetEvent event, const core::Scope& scope) {
  if (!scope.all()) {
    event.clear_caller();
    event.clear_caller_address();
  }
  return event;
}

}  // namespace

grpc::Status CoordinatorService::GetCoordinator(grpc::ServerContext*,
                                                const v1::GetCoordinatorRequest* request,
                                                v1::CoordinatorStatus* response) {
  absl::StatusOr<v1::CoordinatorStatus> status = overview_.GetCoordinator(*request);
  if (status.ok()) {
    *response = *std::move(status);
    response->set_version(version_);
    response->set_heartbeat_seconds(absl::ToDoubleSeconds(heartbeat_interval_));
    if (authority_ != nullptr) {
      response->set_certificate_problem(authority_->RenewalProblem());
    }
    return grpc::Status::OK;
  }
  return ToGrpc(status.status());
}

grpc::Status CoordinatorService::WatchEvents(grpc::ServerContext* context,
                                             const v1::WatchEventsRequest* request,
                                             grpc::ServerWriter<v1::FleetEvent>* writer) {
  if (const absl::Status valid = CheckEventsRequest(*request); !valid.ok()) {
    return ToGrpc(valid);
  }
  if (const absl::Status may = CheckMayRead(gate_, *context, *request); !may.ok()) {
    return ToGrpc(may);
  }
  const auto stream = gate_.OpenStream(*context);
  if (!stream.ok()) {
    return ToGrpc(stream.status());
  }
  const absl::StatusOr<core::Scope> scope = gate_.ScopeOf(*context, kWatchEvents);
  if (!scope.ok()) {
    return ToGrpc(scope.status());
  }
  runtime::EventFeed& feed = overview_.feed();
  // A caller sees what his earlier calls did, though the feed's own thread looks at intervals.
  if (const absl::Status looked = feed.Look(); !looked.ok()) {
    return ToGrpc(looked);
  }
  const auto limit = static_cast<size_t>(request->limit() > 0 ? request->limit() : kEventsDefault);
  int64_t next = feed.FirstOf(limit, request->since_unix_seconds());
  const auto write = [&](const v1::FleetEvent& event) {
    return !overview_.Covers(*scope, event) || writer->Write(Shown(event, *scope));
  };
  if (request->audited_alone()) {
    const auto past = feed.Audited(limit, request->since_unix_seconds());
    if (!past.ok()) {
      return ToGrpc(past.status());
    }
    next = past->next;
    if (!std::all_of(past->events.begin(), past->events.end(), write)) {
      return ToGrpc(absl::CancelledError("the follower left"));
    }
  }
  while (!context->IsCancelled()) {
    if (const absl::Status goes = stream->Goes(); !goes.ok()) {
      return ToGrpc(goes);
    }
    const runtime::EventFeed::Page page = feed.Read(next, kEventsAtOnce);
    next = page.next;
    for (const v1::FleetEvent& event : page.events) {
      if ((!request->audited_alone() || IsAudited(event.kind())) && !write(event)) {
        return ToGrpc(absl::CancelledError("the follower left"));
      }
    }
    if (!page.events.empty()) {
      continue;
    }
    if (!request->follow()) {
      return grpc::Status::OK;
    }
    if (feed.stopped()) {
      return ToGrpc(absl::UnavailableError("the coordinator stops; try again later"));
    }
    (void)feed.WaitFor(next, kLookForCancel);
  }
  return ToGrpc(absl::CancelledError("the follower left"));
}

grpc::Status CoordinatorService::ReportEnergy(grpc::ServerContext* context,
                                              const v1::ReportEnergyRequest* request,
                                              v1::EnergyReport* response) {
  const absl::StatusOr<core::Scope> scope = gate_.ScopeOf(*context, kReportEnergy);
  if (!scope.ok()) {
    return ToGrpc(scope.status());
  }
  absl::StatusOr<v1::EnergyReport> report = overview_.ReportEnergy(*request, *scope);
  if (report.ok()) {
    *response = std::move(*report);
  }
  return ToGrpc(report.status());
}

}  // namespace wattle::rpc
