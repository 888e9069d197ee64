// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The runtime's counters since the process started, for /metrics. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_COUNTERS_H_
#define WATTLE_COORDINATOR_RUNTIME_COUNTERS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "coordinator/core/state.h"
#include "coordinator/runtime/work_totals.h"
#include "telemetry/export/metrics_page.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::runtime {

// The journal's user for tokens made over the socket of the coordinator's machine.
inline constexpr char kLocalUser[] = "local";

struct CounterValues {
  uint64_t commands = 0;
  uint64_t refused_commands = 0;  // Refused because the queue was full.
  uint64_t events = 0;
  uint64_t commits = 0;
  uint64_t plans = 0;
  uint64_t proposals_dropped = 0;                 // See core::PlanComputed.
  uint64_t snapshots = 0;                         // Written and verified.
  uint64_t local_admin_tokens = 0;                // By `wattle-coordinator access admin-token`.
  std::map<v1::JobState, uint64_t> jobs_entered;  // How often a job entered each state.
  std::map<v1::AttemptState, uint64_t> attempts_entered;
  // Gross joules of attempts with a receipt, by energy source. Joules of different sources are not
  // comparable, so their sums stay separate.
  std::map<v1::EnergySource, double> receipt_energy_joules;
  WorkTotals work;  // of attempts with a receipt
  // Wall time from a job's queueing to the placement of its attempt.
  telemetry::HistogramValue queue_wait_seconds{{0.1, 1, 10, 60, 300, 1800, 7200, 86400}};
  telemetry::HistogramValue commit_seconds{{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1}};
  telemetry::HistogramValue plan_seconds{{0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5}};
  // |predicted - measured| / measured of finished attempts.
  telemetry::HistogramValue time_error_ratio{{0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.3, 1}};
  telemetry::HistogramValue energy_error_ratio{{0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.3, 1}};
};

class Counters {
 public:
  void CountCommands(uint64_t commands);
  void CountRefusedCommand();
  void CountPlan(absl::Duration elapsed, int proposals_dropped);
  void CountSnapshot();
  // before: the state before the events.
  void CountCommit(absl::Duration elapsed, absl::Span<const v1::Event> events,
                   const core::State& before);
  [[nodiscard]] CounterValues Values() const;

 private:
  void CountEvent(const v1::Event& event, const core::State& before)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  CounterValues values_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, double> queued_unix_seconds_
      ABSL_GUARDED_BY(mutex_);  // key: the queued job's id
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_COUNTERS_H_
