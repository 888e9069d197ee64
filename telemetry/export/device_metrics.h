// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a device's heartbeat tells, as series. The worker's page shows them where Prometheus reaches
// the worker, else the coordinator's page does: one path for each device, and the same names on
// both, so that dashboards and alerts know no difference.
#ifndef WATTLE_TELEMETRY_EXPORT_DEVICE_METRICS_H_
#define WATTLE_TELEMETRY_EXPORT_DEVICE_METRICS_H_

#include "absl/strings/string_view.h"

#include "telemetry/export/metrics_page.h"
#include "wattle/v1/device.pb.h"

namespace wattle::telemetry {

// device, device_id, device_class: on every series of a device.
MetricLabels DeviceLabels(const v1::DeviceInfo& info);

// The series of power and energy carry the source too: figures of different sources do not mix.
MetricLabels MeasuredLabels(const v1::DeviceInfo& info, absl::string_view source);

// What is not known is left out: absent is not 0. source: "ina3221", "model" …; has_power_sensor:
// the joules of the heartbeat were measured.
void AddHeartbeat(const v1::DeviceInfo& info, const v1::Heartbeat& heartbeat,
                  absl::string_view source, bool has_power_sensor, MetricsPage& page);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_EXPORT_DEVICE_METRICS_H_
