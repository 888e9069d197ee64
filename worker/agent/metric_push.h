// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Samples for a device that Prometheus cannot reach. At each interval the worker's own page is
// taken as values and kept in the spool. While the coordinator takes them, batches go up in the
// order in which they were taken, a few at a time, and each leaves the spool when the coordinator
// says that Prometheus has it. One thread owns an object.
#ifndef WATTLE_WORKER_AGENT_METRIC_PUSH_H_
#define WATTLE_WORKER_AGENT_METRIC_PUSH_H_

#include <cstdint>
#include <functional>
#include <set>

#include "absl/time/time.h"

#include "telemetry/export/metrics_page.h"
#include "wattle/v1/fleet.pb.h"
#include "worker/agent/storage/metric_spool.h"

namespace wattle::agent {

class MetricPush {
 public:
  // On their way at once: enough for the round trips of a slow link, little memory at the other
  // end.
  static constexpr size_t kUnderWayMax = 2;

  // disk: outlives the object. send: to the coordinator, or into nothing where there is no stream.
  MetricPush(Disk* disk, const MetricSpoolLimits& limits,
             std::function<void(const v1::WorkerMessage&)> send);

  // shared: labels that every series has; they are sent once for a batch. at: the device's clock.
  void Take(const telemetry::MetricsPage& page, const telemetry::MetricLabels& shared,
            absl::Time at);

  void OnWelcome(const v1::Welcome& welcome);
  void OnAcknowledged(int64_t number);
  void OnDisconnected();
  void Save() { spool_.Save(); }  // before the process ends

  [[nodiscard]] const MetricSpool& spool() const { return spool_; }

 private:
  void SendNext();

  MetricSpool spool_;
  const std::function<void(const v1::WorkerMessage&)> send_;
  bool taken_ = false;  // by the coordinator, on this stream
  std::set<int64_t> under_way_;
  int64_t last_sent_ = 0;  // on this stream
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_METRIC_PUSH_H_
