// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The service about the coordinator as a whole: its status, its events, its energy report. Uses
// gRPC's blocking API on its own threads: few people call it, and a call may read the disk.
// Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_COORDINATOR_SERVICE_H_
#define WATTLE_COORDINATOR_RPC_COORDINATOR_SERVICE_H_

#include <string>
#include <utility>

#include "absl/time/time.h"

#include "coordinator/authority/authority.h"
#include "coordinator/rpc/gate.h"
#include "coordinator/runtime/overview.h"
#include "wattle/v1/coordinator.grpc.pb.h"

namespace wattle::rpc {

class CoordinatorService final : public v1::CoordinatorService::Service {
 public:
  // overview, gate, authority: must outlive the server; authority is null with plaintext. version,
  // heartbeat_interval: reported to callers.
  CoordinatorService(runtime::Overview& overview, const Gate& gate,
                     const authority::Authority* authority, std::string version,
                     absl::Duration heartbeat_interval)
      : overview_(overview),
        gate_(gate),
        authority_(authority),
        version_(std::move(version)),
        heartbeat_interval_(heartbeat_interval) {}

  grpc::Status GetCoordinator(grpc::ServerContext* context,
                              const v1::GetCoordinatorRequest* request,
                              v1::CoordinatorStatus* response) override;
  grpc::Status WatchEvents(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                           grpc::ServerWriter<v1::FleetEvent>* writer) override;
  grpc::Status ReportEnergy(grpc::ServerContext* context, const v1::ReportEnergyRequest* request,
                            v1::EnergyReport* response) override;

 private:
  runtime::Overview& overview_;
  const Gate& gate_;
  const authority::Authority* const authority_;
  const std::string version_;
  const absl::Duration heartbeat_interval_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_COORDINATOR_SERVICE_H_
