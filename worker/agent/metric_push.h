// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Pushes the samples of a device that Prometheus cannot reach. At each interval MetricPush takes
// the worker's own page as values and keeps them in the spool. While the coordinator accepts
// samples, batches go up in order, a few at a time. A batch leaves the spool when the coordinator
// reports that Prometheus has it. Scrapes that were taken before the worker knew the time keep the
// boot time until then, and then get their date; those of an earlier boot are dropped, because
// their time is unknown. One thread owns an object.
#ifndef WATTLE_WORKER_AGENT_METRIC_PUSH_H_
#define WATTLE_WORKER_AGENT_METRIC_PUSH_H_

#include <cstdint>
#include <functional>
#include <set>

#include "telemetry/export/metrics_page.h"
#include "wattle/v1/fleet.pb.h"
#include "worker/agent/core/device_clock.h"
#include "worker/agent/storage/metric_spool.h"

namespace wattle::agent {

class MetricPush {
 public:
  // Batches in flight at once: enough for the round trips of a slow link, and little memory at the
  // coordinator.
  static constexpr size_t kUnderWayMax = 2;

  // disk: must outlive the object. send: sends to the coordinator, or drops the message if there is
  // no stream.
  // same_boot: the contents of the spool are of this boot.
  MetricPush(Disk* disk, const MetricSpoolLimits& limits,
             std::function<void(const v1::WorkerMessage&)> send, bool same_boot);

  // shared: labels of every series, which a batch carries once.
  void Take(const telemetry::MetricsPage& page, const telemetry::MetricLabels& shared,
            const Instant& now);

  void OnWelcome(const v1::Welcome& welcome);
  void OnAcknowledged(int64_t number);
  void OnDisconnected();
  void Save() { spool_.Save(); }  // before the process ends

  [[nodiscard]] const MetricSpool& spool() const { return spool_; }

 private:
  void SendNext();

  MetricSpool spool_;
  const std::function<void(const v1::WorkerMessage&)> send_;
  bool undated_ = true;  // the spool may hold scrapes without a date
  bool taken_ = false;   // the coordinator accepts samples on this stream
  std::set<int64_t> under_way_;
  int64_t last_sent_ = 0;  // the last number sent on this stream
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_METRIC_PUSH_H_
