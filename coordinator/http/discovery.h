// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Prometheus HTTP service discovery of the workers that export metrics. Thread-safe.
#ifndef WATTLE_COORDINATOR_HTTP_DISCOVERY_H_
#define WATTLE_COORDINATOR_HTTP_DISCOVERY_H_

#include <string>

#include "coordinator/runtime/api.h"

namespace wattle::http {

// A JSON list of {"targets": ["host:port"], "labels": {…}}, one entry for each known worker with a
// metrics address. A worker that is away stays in the list, so that Prometheus reports it as down.
std::string DiscoveryJson(const runtime::Api& api);

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_DISCOVERY_H_
