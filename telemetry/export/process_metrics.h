// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The resources of a process, under the names that every Prometheus client library uses.
#ifndef WATTLE_TELEMETRY_EXPORT_PROCESS_METRICS_H_
#define WATTLE_TELEMETRY_EXPORT_PROCESS_METRICS_H_

#include "telemetry/export/metrics_page.h"

namespace wattle::telemetry {

// Adds process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds and
// process_max_fds of this process, from /proc/self and getrusage. A value that cannot be read is
// left out.
void AddProcessMetrics(MetricsPage& page);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_EXPORT_PROCESS_METRICS_H_
