// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the flags of wattle-coordinator mean for its runtime and its two servers.
#ifndef WATTLE_COORDINATOR_SERVER_OPTIONS_H_
#define WATTLE_COORDINATOR_SERVER_OPTIONS_H_

#include <memory>
#include <string>

#include "base/service_manager.h"
#include "coordinator/authority/authority.h"
#include "coordinator/callers/call_limits.h"
#include "coordinator/http/http_server.h"
#include "coordinator/options.h"
#include "coordinator/rpc/access_service.h"
#include "coordinator/rpc/server.h"
#include "coordinator/runtime/runtime.h"

namespace wattle {

// Where `wattle-coordinator access admin-token` reaches the coordinator of this folder.
std::string LocalSocket(const std::string& data_directory);

// REQUIRES: the manager outlives the runtime.
runtime::RuntimeOptions RuntimeOptionsOf(const CoordinatorOptions& options,
                                         const ServiceManager& manager);

// authority: null with plaintext, where every caller may do everything.
http::HttpOptions HttpOptionsOf(const CoordinatorOptions& options,
                                const authority::Authority* authority);
rpc::ServerOptions RpcOptionsOf(const CoordinatorOptions& options, authority::Authority* authority,
                                const std::shared_ptr<callers::CallLimits>& limits,
                                const rpc::AccessService::Keep& keep);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_SERVER_OPTIONS_H_
