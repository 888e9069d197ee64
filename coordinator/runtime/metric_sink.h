// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where samples go that workers push: implemented by coordinator/remote_write, and by a recorder in
// tests.
#ifndef WATTLE_COORDINATOR_RUNTIME_METRIC_SINK_H_
#define WATTLE_COORDINATOR_RUNTIME_METRIC_SINK_H_

#include <functional>

#include "telemetry/export/metrics_page.h"
#include "units/id.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::runtime {

class MetricSink {
 public:
  virtual ~MetricSink() = default;
  // Thread-safe, never blocks. done: once, from another thread, when the batch need not come again.
  // A batch that waits already, of the same device and number, is not taken twice.
  virtual void Take(const DeviceId& device, v1::MetricBatch batch, std::function<void()> done) = 0;
  // What it did, for /metrics.
  virtual void AddMetrics(telemetry::MetricsPage& page) const = 0;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_METRIC_SINK_H_
