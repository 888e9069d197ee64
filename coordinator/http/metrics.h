// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's /metrics page, built from the runtime at each request. Thread-safe.
#ifndef WATTLE_COORDINATOR_HTTP_METRICS_H_
#define WATTLE_COORDINATOR_HTTP_METRICS_H_

#include <string>

#include "absl/strings/string_view.h"

#include "coordinator/runtime/runtime.h"

namespace wattle::http {

// The metrics in Prometheus text format 0.0.4.
std::string MetricsText(runtime::Runtime& runtime, absl::string_view version);

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_METRICS_H_
