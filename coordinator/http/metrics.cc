// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/metrics.h"

#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

#include "artifacts/blob_store.h"
#include "coordinator/core/state.h"
#include "coordinator/http/device_metrics.h"
#include "telemetry/export/metrics_page.h"
#include "telemetry/export/process_metrics.h"

namespace wattle::http {
namespace {

using telemetry::MetricsPage;

constexpr std::array kJobStates = {v1::JOB_STATE_WAITING, v1::JOB_STATE_QUEUED,
                                   v1::JOB_STATE_ACTIVE,  v1::JOB_STATE_SUCCEEDED,
                                   v1::JOB_STATE_FAILED,  v1::JOB_STATE_CANCELLED};
constexpr std::array kAttemptStates = {v1::ATTEMPT_STATE_PLACED,    v1::ATTEMPT_STATE_FETCHING,
                                       v1::ATTEMPT_STATE_RUNNING,   v1::ATTEMPT_STATE_PAUSED,
                                       v1::ATTEMPT_STATE_FINISHED,  v1::ATTEMPT_STATE_FAILED,
                                       v1::ATTEMPT_STATE_SUPERSEDED};

// JOB_STATE_QUEUED → "queued".
std::string Label(absl::string_view name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}
std::string Label(v1::JobState state) {
  return Label(v1::JobState_Name(state), "JOB_STATE_");
}
std::string Label(v1::AttemptState state) {
  return Label(v1::AttemptState_Name(state), "ATTEMPT_STATE_");
}

struct FleetCounts {
  std::map<v1::JobState, int64_t> jobs;
  std::map<v1::AttemptState, int64_t> attempts;
  int64_t artifacts = 0;
  int64_t artifact_bytes = 0;
  int64_t profile_rows = 0;
  int64_t last_sequence = 0;
  std::map<DeviceId, v1::DeviceInfo> devices;
};

FleetCounts Count(const core::State& state) {
  FleetCounts counts;
  for (const auto& [number, record] : state.jobs) {
    ++counts.jobs[record.job().state()];
    for (const v1::Attempt& attempt : record.job().attempts()) {
      ++counts.attempts[attempt.state()];
    }
  }
  for (const auto& [id, info] : state.artifacts) {
    ++counts.artifacts;
    counts.artifact_bytes += info.size_bytes();
  }
  for (const auto& [id, record] : state.devices) {
    if (!record.removed()) {
      counts.devices[id] = record.info();
    }
  }
  counts.profile_rows = static_cast<int64_t>(state.profile_rows.size());
  counts.last_sequence = state.last_sequence.value();
  return counts;
}

void AddFleet(MetricsPage& page, const FleetCounts& counts) {
  const auto count_of = [](const auto& by_state, auto state) {
    const auto it = by_state.find(state);
    return it == by_state.end() ? 0.0 : static_cast<double>(it->second);
  };
  for (const v1::JobState state : kJobStates) {
    page.Gauge("wattle_coordinator_jobs", "Jobs that are in a state now.",
               {{"state", Label(state)}}, count_of(counts.jobs, state));
  }
  for (const v1::AttemptState state : kAttemptStates) {
    page.Gauge("wattle_coordinator_attempts", "Attempts that are in a state now.",
               {{"state", Label(state)}}, count_of(counts.attempts, state));
  }
  page.Gauge("wattle_coordinator_artifacts", "Artifacts that the journal knows.", {},
             static_cast<double>(counts.artifacts));
  page.Gauge("wattle_coordinator_artifact_bytes", "Bytes of those artifacts.", {},
             static_cast<double>(counts.artifact_bytes));
  page.Gauge("wattle_coordinator_profile_rows", "Measured profile rows.", {},
             static_cast<double>(counts.profile_rows));
  page.Gauge("wattle_coordinator_journal_sequence", "Number of the last durable event.", {},
             static_cast<double>(counts.last_sequence));
}

void AddDevices(MetricsPage& page, const FleetCounts& counts,
                const core::Observations& observations) {
  int64_t connected = 0;
  for (const auto& [id, info] : counts.devices) {
    const telemetry::MetricLabels labels = {{"device", info.name()},
                                            {"device_id", id.value()},
                                            {"device_class", info.device_class()},
                                            {"emulated", info.emulated() ? "true" : "false"}};
    const auto it = observations.devices.find(id);
    const bool is_connected = it != observations.devices.end() && it->second.connected;
    connected += is_connected ? 1 : 0;
    page.Gauge("wattle_device_connected", "1 while the device has a stream.", labels,
               is_connected ? 1 : 0);
    if (it != observations.devices.end() && it->second.last_seen.has_value()) {
      page.Gauge("wattle_device_last_seen_timestamp_seconds",
                 "When the coordinator heard of the device last, since it started.", labels,
                 core::ToUnix(it->second.last_seen->wall));
    }
  }
  page.Gauge("wattle_coordinator_devices", "Devices that registered and were not removed.", {},
             static_cast<double>(counts.devices.size()));
  page.Gauge("wattle_coordinator_connected_devices", "Devices with a stream now.", {},
             static_cast<double>(connected));
}

void AddWork(MetricsPage& page, const runtime::CounterValues& values) {
  page.Counter("wattle_coordinator_commands_total", "Commands decided.", {},
               static_cast<double>(values.commands));
  page.Counter("wattle_coordinator_refused_commands_total",
               "Commands refused because the queue was full.", {},
               static_cast<double>(values.refused_commands));
  page.Counter("wattle_coordinator_events_total", "Events made durable.", {},
               static_cast<double>(values.events));
  page.Counter("wattle_coordinator_journal_commits_total", "Transactions of the journal.", {},
               static_cast<double>(values.commits));
  page.Histogram("wattle_coordinator_journal_commit_seconds", "Time of a journal transaction.", {},
                 values.commit_seconds);
  page.Histogram("wattle_coordinator_plan_seconds", "Time to plan the queue.", {},
                 values.plan_seconds);
  for (const v1::JobState state : kJobStates) {
    const auto it = values.jobs_entered.find(state);
    page.Counter("wattle_coordinator_jobs_total", "How often a job entered a state.",
                 {{"state", Label(state)}},
                 it == values.jobs_entered.end() ? 0.0 : static_cast<double>(it->second));
  }
  for (const v1::AttemptState state : kAttemptStates) {
    const auto it = values.attempts_entered.find(state);
    page.Counter("wattle_coordinator_attempts_total", "How often an attempt entered a state.",
                 {{"state", Label(state)}},
                 it == values.attempts_entered.end() ? 0.0 : static_cast<double>(it->second));
  }
  for (const auto& [source, joules] : values.receipt_energy_joules) {
    page.Counter("wattle_coordinator_receipt_energy_joules_total",
                 "Gross energy of attempts, as their receipts say.",
                 {{"source", Label(v1::EnergySource_Name(source), "ENERGY_SOURCE_")}}, joules);
  }
  page.Histogram("wattle_coordinator_queue_wait_seconds",
                 "Time from a job's queueing to the placement of its attempt.", {},
                 values.queue_wait_seconds);
  page.Histogram("wattle_coordinator_prediction_time_error_ratio",
                 "Predicted against measured run time of finished attempts.", {},
                 values.time_error_ratio);
  page.Histogram("wattle_coordinator_prediction_energy_error_ratio",
                 "Predicted against measured run energy of finished attempts.", {},
                 values.energy_error_ratio);
}

// What the kinds of work took, and what was predicted of them.
void AddKinds(MetricsPage& page, const runtime::WorkTotals& work) {
  const auto labels_of = [](const runtime::WorkKind& kind) {
    return telemetry::MetricLabels{
        {"kind", kind.kind},
        {"model", kind.model},
        {"device_class", kind.device_class},
        {"source", Label(v1::EnergySource_Name(kind.source), "ENERGY_SOURCE_")}};
  };
  for (const auto& [kind, by_state] : work.done) {
    for (const auto& [state, sum] : by_state) {
      telemetry::MetricLabels labels = labels_of(kind);
      labels.emplace_back("state", Label(state));
      page.Counter("wattle_coordinator_work_attempts_total", "Attempts that ended with a receipt.",
                   labels, static_cast<double>(sum.attempts));
      page.Counter("wattle_coordinator_work_seconds_total", "Device seconds of those attempts.",
                   labels, sum.seconds);
      page.Counter("wattle_coordinator_work_energy_joules_total", "Gross energy of those attempts.",
                   labels, sum.energy_joules);
      page.Counter("wattle_coordinator_work_tokens_total",
                   "Tokens that those attempts processed, padding included.", labels, sum.tokens);
    }
  }
  for (const auto& [kind, sum] : work.predictions) {
    for (const auto& [side, seconds, joules] :
         {std::tuple("predicted", sum.predicted_seconds, sum.predicted_energy_joules),
          std::tuple("measured", sum.measured_seconds, sum.measured_energy_joules)}) {
      telemetry::MetricLabels labels = labels_of(kind);
      labels.emplace_back("side", side);
      page.Counter("wattle_coordinator_compared_seconds_total",
                   "Device seconds of finished runs that had a prediction.", labels, seconds);
      page.Counter("wattle_coordinator_compared_energy_joules_total",
                   "Gross energy of finished runs that had a prediction.", labels, joules);
    }
  }
  for (int number = v1::FAILURE_CLASS_SPEC; number <= v1::FAILURE_CLASS_POWER; ++number) {
    const auto failure = static_cast<v1::FailureClass>(number);
    const auto it = work.failures.find(failure);
    page.Counter("wattle_coordinator_failures_total",
                 "Attempts that failed, by whose fault it was.",
                 {{"class", Label(v1::FailureClass_Name(failure), "FAILURE_CLASS_")}},
                 it == work.failures.end() ? 0.0 : static_cast<double>(it->second));
  }
}

}  // namespace

std::string MetricsText(runtime::Runtime& runtime, absl::string_view version) {
  MetricsPage page;
  page.Gauge("wattle_coordinator_build_info", "Constant 1; the version is the label.",
             {{"version", std::string(version)}}, 1);
  const double started_unix_seconds = core::ToUnix(runtime.started().wall);
  page.Gauge("wattle_coordinator_start_timestamp_seconds", "When this process started.", {},
             started_unix_seconds);
  page.Gauge("process_start_time_seconds", "When this process started.", {}, started_unix_seconds);
  page.Gauge("wattle_coordinator_queued_commands", "Commands that wait for the core.", {},
             static_cast<double>(runtime.queued_commands()));
  page.Counter("wattle_coordinator_heartbeats_total", "Heartbeats taken.", {},
               static_cast<double>(runtime.board().heartbeats_total()));
  page.Gauge("wattle_coordinator_watchers", "Streams that follow a job.", {},
             static_cast<double>(runtime.watchers().size()));
  const FleetCounts counts = runtime.Read(Count);
  AddFleet(page, counts);
  const core::Observations observations = runtime.board().Snapshot();
  AddDevices(page, counts, observations);
  runtime.Read([&](const core::State& state) {
    AddDeviceConditions(state, observations, page);
    AddJournalConditions(state, runtime.Now(), page);
    return true;
  });
  if (const auto free = artifacts::FreeSpaceOf(runtime.options().journal_path); free.ok()) {
    page.Gauge("wattle_coordinator_disk_free_bytes", "Free space where the journal is.", {},
               static_cast<double>(*free));
  }
  const runtime::CounterValues values = runtime.counters();
  AddWork(page, values);
  AddKinds(page, values.work);
  telemetry::AddProcessMetrics(page);
  return page.Text();
}

}  // namespace wattle::http
