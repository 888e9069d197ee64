// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Interfaces through which the runtime uses the folders around it. Tests implement them with
// recorders.
#ifndef WATTLE_COORDINATOR_RUNTIME_RUNTIME_PORTS_H_
#define WATTLE_COORDINATOR_RUNTIME_RUNTIME_PORTS_H_

#include <functional>

#include "telemetry/export/metrics_page.h"
#include "units/id.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::runtime {

// Messages to connected workers (coordinator/rpc). A message for a device without a stream is
// dropped, because the next hello of the device gets everything.
class WorkerLinks {
 public:
  virtual ~WorkerLinks() = default;
  // Called by the outbound thread; must not block.
  virtual void SendDesired(const DeviceId& device, v1::DesiredSet desired) = 0;
  virtual void SendAcknowledgement(const DeviceId& device, v1::ReportAcknowledgement ack) = 0;
};

// Receives the samples that workers push (coordinator/remote_write).
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  // Takes a batch of samples. Thread-safe; never blocks. done: called once from another thread when
  // the worker need not send the batch again. A batch whose device and number equal those of a
  // waiting one is ignored.
  virtual void Take(const DeviceId& device, v1::MetricBatch batch, std::function<void()> done) = 0;
  // Adds the sink's own counters to /metrics.
  virtual void AddMetrics(telemetry::MetricsPage& page) const = 0;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_RUNTIME_PORTS_H_
