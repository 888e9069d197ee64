// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The services that people and scripts call. Each method is one line that calls runtime/api.h.
// Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_SERVICES_H_
#define WATTLE_COORDINATOR_RPC_SERVICES_H_

#include <memory>
#include <string>
#include <vector>

#include "grpcpp/impl/codegen/service_type.h"

#include "coordinator/rpc/gate.h"
#include "coordinator/runtime/api.h"

namespace wattle::rpc {

// Makes JobService, DeviceService, PolicyService, ProfileService, ForecastService and
// UpgradeService. api, gate: must outlive them. version: of this program.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(runtime::Api& api, const Gate& gate,
                                                         const std::string& version);

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_SERVICES_H_
