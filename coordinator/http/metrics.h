// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's answers to Prometheus: the /metrics page and the list of the workers to scrape,
// both built at each request. Thread-safe.
#ifndef WATTLE_COORDINATOR_HTTP_METRICS_H_
#define WATTLE_COORDINATOR_HTTP_METRICS_H_

#include <cstdint>
#include <string>

#include "coordinator/callers/call_limits.h"
#include "coordinator/runtime/api.h"
#include "coordinator/runtime/runtime.h"

namespace wattle::http {

// The page's values about this port and the coordinator's own identity.
struct Surroundings {
  std::string version = {};
  std::string certificate_path = {};  // The coordinator's own; empty: none.
  callers::CallLimits::Refusals refused = {};
  uint64_t crowded_connections = 0;  // ThreadedServer::crowded_total.
};

// The metrics in Prometheus text format 0.0.4.
std::string MetricsText(runtime::Runtime& runtime, const Surroundings& surroundings);

// HTTP service discovery: a JSON list of {"targets": ["host:port"], "labels": {…}}, one entry for
// each known worker with a metrics address. A worker that is away stays in the list, so that
// Prometheus reports it as down.
std::string DiscoveryJson(const runtime::Api& api);

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_METRICS_H_
