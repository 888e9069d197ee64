// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Metrics about devices and jobs that only the coordinator has: limits of policies, the durable
// ledger, clock offsets, overdue jobs; and the live values of devices that Prometheus cannot reach.
#ifndef WATTLE_COORDINATOR_HTTP_DEVICE_METRICS_H_
#define WATTLE_COORDINATOR_HTTP_DEVICE_METRICS_H_

#include "coordinator/core/state.h"
#include "telemetry/export/metrics_page.h"

namespace wattle::http {

// Adds metrics of every device that was not removed. A connected device without a /metrics page of
// its own also gets the values of its heartbeats, unless its worker pushes samples. takes_pushed:
// the coordinator forwards pushed samples to Prometheus.
void AddDeviceConditions(const core::State& state, const core::Observations& observations,
                         bool takes_pushed, telemetry::MetricsPage& page);

// Adds metrics of open jobs (how many are past their deadline, since when the oldest queued job
// waits) and of the journal (its lineage and epoch).
void AddJournalConditions(const core::State& state, const core::Instant& now,
                          telemetry::MetricsPage& page);

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_DEVICE_METRICS_H_
