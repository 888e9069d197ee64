// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Adds a heartbeat's values as metrics. If Prometheus reaches the worker, the worker's page shows
// them, else the coordinator's page does. Each device therefore has one path, and both pages use
// the same names, so that dashboards and alerts see no difference. To add a metric: a field of
// Heartbeat (device.proto), its value in worker/agent/core/agent_core_report.cc, a row in
// device_metrics.cc, a row marked ● in docs/metrics.md.
#ifndef WATTLE_TELEMETRY_EXPORT_DEVICE_METRICS_H_
#define WATTLE_TELEMETRY_EXPORT_DEVICE_METRICS_H_

#include "absl/strings/string_view.h"

#include "telemetry/export/metrics_page.h"
#include "wattle/v1/device.pb.h"

namespace wattle::telemetry {

// The labels of every series of a device: device, device_id, device_class.
MetricLabels DeviceLabels(const v1::DeviceInfo& info);

// The labels of power and energy series, which also name the source: figures of different sources
// do not compare.
MetricLabels MeasuredLabels(const v1::DeviceInfo& info, absl::string_view source);

// Unknown values are left out: absent is not 0. source: "ina3221", "model" …; has_power_sensor: the
// joules of the heartbeat were measured.
void AddHeartbeat(const v1::DeviceInfo& info, const v1::Heartbeat& heartbeat,
                  absl::string_view source, bool has_power_sensor, MetricsPage& page);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_EXPORT_DEVICE_METRICS_H_
