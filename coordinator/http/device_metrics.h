// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Series about devices and jobs that only the coordinator can tell: limits of policies, the durable
// ledger, clocks, overdue jobs; and the live values of devices that Prometheus cannot reach.
#ifndef WATTLE_COORDINATOR_HTTP_DEVICE_METRICS_H_
#define WATTLE_COORDINATOR_HTTP_DEVICE_METRICS_H_

#include "coordinator/core/state.h"
#include "telemetry/export/metrics_page.h"

namespace wattle::http {

// Of every device that was not removed. A device that registered no address of a /metrics of its
// own also shows here what its heartbeats say, while it is connected, unless its samples take
// another way. takes_pushed: samples that workers push are passed on to Prometheus.
void AddDeviceConditions(const core::State& state, const core::Observations& observations,
                         bool takes_pushed, telemetry::MetricsPage& page);

// Of open jobs: how many are past their deadline, and since when the oldest queued one waits.
// Of the journal: its lineage and epoch.
void AddJournalConditions(const core::State& state, const core::Instant& now,
                          telemetry::MetricsPage& page);

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_DEVICE_METRICS_H_
