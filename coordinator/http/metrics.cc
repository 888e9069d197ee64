// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

#include "artifacts/blob_store.h"
#include "base/file.h"
#include "base/tls/certificate.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/state.h"
#include "coordinator/core/upgrades.h"
#include "coordinator/http/device_metrics.h"
#include "proto/state_names.h"
#include "telemetry/export/metrics_page.h"

namespace wattle::http {
namespace {

using telemetry::MetricsPage;

constexpr size_t kCertificateBytesMax = size_t{64} << 10;
constexpr std::array kJobStates = {v1::JOB_STATE_WAITING, v1::JOB_STATE_QUEUED,
                                   v1::JOB_STATE_ACTIVE,  v1::JOB_STATE_SUCCEEDED,
                                   v1::JOB_STATE_FAILED,  v1::JOB_STATE_CANCELLED};
constexpr std::array kAttemptStates = {v1::ATTEMPT_STATE_PLACED,    v1::ATTEMPT_STATE_FETCHING,
                                       v1::ATTEMPT_STATE_RUNNING,   v1::ATTEMPT_STATE_PAUSED,
                                       v1::ATTEMPT_STATE_FINISHED,  v1::ATTEMPT_STATE_FAILED,
                                       v1::ATTEMPT_STATE_SUPERSEDED};

// Published and imported rows are no measurements of this fleet.
double MeasuredRows(const scheduler::ProfileTable& profiles) {
  double measured = 0;
  for (const auto& [device_class, rows] : profiles.by_class()) {
    for (const auto& [key, row] : rows) {
      measured += row.source() == v1::PROFILE_SOURCE_MEASURED ? 1 : 0;
    }
  }
  return measured;
}

void AddFleet(MetricsPage& page, const core::State& state) {
  const auto count_of = [](const auto& by_state, auto one) {
    const auto it = by_state.find(one);
    return it == by_state.end() ? 0.0 : static_cast<double>(it->second);
  };
  for (const v1::JobState job_state : kJobStates) {
    page.Gauge("wattle_coordinator_jobs", "Jobs by the state that they are in or ended in.",
               {{"state", LowerName(job_state)}}, count_of(state.job_counts, job_state));
  }
  for (const v1::AttemptState attempt_state : kAttemptStates) {
    page.Gauge("wattle_coordinator_attempts", "Attempts by the state that they are in or ended in.",
               {{"state", LowerName(attempt_state)}},
               count_of(state.attempt_counts, attempt_state));
  }
  page.Gauge("wattle_coordinator_artifacts", "Artifacts that the journal knows.", {},
             static_cast<double>(state.artifacts.size()));
  page.Gauge("wattle_coordinator_artifact_bytes", "Bytes of those artifacts.", {},
             static_cast<double>(state.artifact_bytes));
  page.Gauge("wattle_coordinator_profile_rows", "Measured profile rows.", {},
             MeasuredRows(state.profiles));
  page.Gauge("wattle_coordinator_journal_sequence", "Number of the last durable event.", {},
             static_cast<double>(state.last_sequence.value()));
}

// Metrics of the present upgrade; zeros if there is none.
void AddUpgrade(MetricsPage& page, const core::State& state) {
  const v1::Upgrade* const open = core::OpenUpgrade(state);
  for (int number = v1::DEVICE_UPGRADE_STATE_WAITING; number <= v1::DEVICE_UPGRADE_STATE_REFUSED;
       ++number) {
    int64_t devices = 0;
    if (open != nullptr) {
      devices = std::count_if(open->devices().begin(), open->devices().end(),
                              [&](const auto& device) { return device.state() == number; });
    }
    page.Gauge("wattle_coordinator_upgrade_devices",
               "Devices of the upgrade that goes on, by how far they are.",
               {{"state", LowerName(static_cast<v1::DeviceUpgradeState>(number))}},
               static_cast<double>(devices));
  }
  page.Gauge("wattle_coordinator_upgrade_paused",
             "1 while an upgrade is paused, by an operator or by two devices that went back.", {},
             open != nullptr && open->state() == v1::UPGRADE_STATE_PAUSED ? 1 : 0);
}

void AddDevices(MetricsPage& page, const core::State& state,
                const core::Observations& observations) {
  int64_t devices = 0;
  int64_t connected = 0;
  for (const auto& [id, record] : state.devices) {
    if (record.removed()) {
      continue;
    }
    ++devices;
    const v1::DeviceInfo& info = record.info();
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
    const v1::IdentityRecord* const identity =
        core::FindIdentity(state, core::kDeviceKind, id.value());
    if (identity != nullptr && !identity->revoked() && identity->not_after_unix_seconds() > 0) {
      page.Gauge("wattle_device_certificate_end_timestamp_seconds",
                 "When the latest certificate of the device ends.", labels,
                 identity->not_after_unix_seconds());
    }
  }
  page.Gauge("wattle_coordinator_devices", "Devices that registered and were not removed.", {},
             static_cast<double>(devices));
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
  page.Counter("wattle_coordinator_snapshots_total", "Snapshots written and verified.", {},
               static_cast<double>(values.snapshots));
  page.Counter("wattle_coordinator_local_admin_tokens_total",
               "Tokens of admins made on the coordinator's machine.", {},
               static_cast<double>(values.local_admin_tokens));
  page.Histogram("wattle_coordinator_journal_commit_seconds", "Time of a journal transaction.", {},
                 values.commit_seconds);
  page.Histogram("wattle_coordinator_plan_seconds", "Time to plan the queue.", {},
                 values.plan_seconds);
  page.Counter("wattle_planner_solver_dropped_total",
               "Arrangements of the search that a rule or CheckPlan refused or that came too late.",
               {}, static_cast<double>(values.proposals_dropped));
  for (const v1::JobState state : kJobStates) {
    const auto it = values.jobs_entered.find(state);
    page.Counter("wattle_coordinator_jobs_total", "How often a job entered a state.",
                 {{"state", LowerName(state)}},
                 it == values.jobs_entered.end() ? 0.0 : static_cast<double>(it->second));
  }
  for (const v1::AttemptState state : kAttemptStates) {
    const auto it = values.attempts_entered.find(state);
    page.Counter("wattle_coordinator_attempts_total", "How often an attempt entered a state.",
                 {{"state", LowerName(state)}},
                 it == values.attempts_entered.end() ? 0.0 : static_cast<double>(it->second));
  }
  for (const auto& [source, joules] : values.receipt_energy_joules) {
    page.Counter("wattle_coordinator_receipt_energy_joules_total",
                 "Gross energy of attempts, as their receipts say.",
                 {{"source", LowerName(source)}}, joules);
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

// Adds the measured and the predicted totals of each kind of work.
void AddKinds(MetricsPage& page, const runtime::WorkTotals& work) {
  const auto labels_of = [](const runtime::WorkKind& kind) {
    return telemetry::MetricLabels{{"kind", kind.kind},
                                   {"model", kind.model},
                                   {"device_class", kind.device_class},
                                   {"source", LowerName(kind.source)}};
  };
  for (const auto& [kind, by_state] : work.done) {
    for (const auto& [state, sum] : by_state) {
      telemetry::MetricLabels labels = labels_of(kind);
      labels.emplace_back("state", LowerName(state));
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
                 "Attempts that failed, by whose fault it was.", {{"class", LowerName(failure)}},
                 it == work.failures.end() ? 0.0 : static_cast<double>(it->second));
  }
}

// When the last token of each service ends, and when the coordinator's own certificate does. The
// coordinator renews its own; a service's token is replaced by a person.
void AddEnds(MetricsPage& page, const core::State& state, const Surroundings& surroundings) {
  std::map<std::string, double> ends;
  for (const auto& [id, token] : state.tokens) {
    if (token.kind() == core::kServiceKind && !token.revoked()) {
      double& end = ends[token.person()];
      end = std::max(end, token.expires_unix_seconds());
    }
  }
  for (const auto& [service, end] : ends) {
    page.Gauge("wattle_coordinator_service_token_end_timestamp_seconds",
               "When the last token of the service that is not revoked ends.",
               {{"service", service}}, end);
  }
  if (surroundings.certificate_path.empty()) {
    return;
  }
  const auto pem = ReadWholeFile(surroundings.certificate_path, kCertificateBytesMax);
  const auto facts = tls::ReadCertificate(pem.ok() ? *pem : "");
  if (facts.ok()) {
    page.Gauge("wattle_coordinator_certificate_end_timestamp_seconds",
               "When the coordinator's own certificate ends.", {}, core::ToUnix(facts->not_after));
  }
}

void AddRefusals(MetricsPage& page, const Surroundings& surroundings) {
  page.Counter("wattle_coordinator_refused_calls_total",
               "Calls that were refused, for whatever reason.", {},
               static_cast<double>(surroundings.refused.for_any_reason));
  for (const auto& [limit, refused] :
       {std::pair("calls", surroundings.refused.calls),
        std::pair("streams", surroundings.refused.streams),
        std::pair("bytes", surroundings.refused.waits_for_bytes),
        std::pair("grpc_connections", surroundings.refused.connections),
        std::pair("http_connections", surroundings.crowded_connections)}) {
    page.Counter("wattle_coordinator_limited_total",
                 "Calls, streams and connections beyond a caller's or an address's limit.",
                 {{"limit", limit}}, static_cast<double>(refused));
  }
}

double SecondsOf(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

void AddOpenFiles(MetricsPage& page) {
  std::error_code error;
  int64_t open_files = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end;
       !error && entry != end; entry.increment(error)) {
    ++open_files;
  }
  if (!error) {
    page.Gauge("process_open_fds", "Open file descriptors.", {}, static_cast<double>(open_files));
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    page.Gauge("process_max_fds", "File descriptors that the process may open.", {},
               static_cast<double>(limit.rlim_cur));
  }
}

// The resources of this process, under the names that every Prometheus client library uses, from
// /proc/self and getrusage. A value that cannot be read is left out.
void AddProcess(MetricsPage& page) {
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    page.Counter("process_cpu_seconds_total", "Processor time, of the user and of the system.", {},
                 SecondsOf(usage.ru_utime) + SecondsOf(usage.ru_stime));
  }
  // Second field of statm: resident pages.
  const absl::StatusOr<std::string> memory = ReadWholeFile("/proc/self/statm", 4096);
  if (memory.ok()) {
    const std::vector<std::string> fields = absl::StrSplit(*memory, ' ');
    int64_t pages = 0;
    if (fields.size() > 1 && absl::SimpleAtoi(fields[1], &pages)) {
      page.Gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", {},
                 static_cast<double>(pages * sysconf(_SC_PAGESIZE)));
    }
  }
  AddOpenFiles(page);
}

}  // namespace

std::string MetricsText(runtime::Runtime& runtime, const Surroundings& surroundings) {
  MetricsPage page;
  page.Gauge("wattle_coordinator_build_info", "Constant 1; the version is the label.",
             {{"version", surroundings.version}}, 1);
  const double started_unix_seconds = core::ToUnix(runtime.started().wall);
  page.Gauge("wattle_coordinator_start_timestamp_seconds", "When this process started.", {},
             started_unix_seconds);
  page.Gauge("process_start_time_seconds", "When this process started.", {}, started_unix_seconds);
  page.Gauge("wattle_coordinator_queued_commands", "Commands that wait for the core.", {},
             static_cast<double>(runtime.queued_commands()));
  page.Counter("wattle_coordinator_heartbeats_total", "Heartbeats taken.", {},
               static_cast<double>(runtime.heartbeats().heartbeats_total()));
  page.Gauge("wattle_coordinator_watchers", "Streams that follow a job.", {},
             static_cast<double>(runtime.watchers().size()));
  const std::shared_ptr<const core::State> state = runtime.Version();
  const core::Observations observations = runtime.heartbeats().Snapshot();
  AddFleet(page, *state);
  AddUpgrade(page, *state);
  AddEnds(page, *state, surroundings);
  AddRefusals(page, surroundings);
  AddDevices(page, *state, observations);
  AddDeviceConditions(*state, observations, runtime.options().metric_sink != nullptr, page);
  AddJournalConditions(*state, runtime.Now(), page);
  if (const auto free = artifacts::FreeSpaceOf(runtime.options().journal_path); free.ok()) {
    page.Gauge("wattle_coordinator_disk_free_bytes", "Free space where the journal is.", {},
               static_cast<double>(*free));
  }
  const runtime::CounterValues values = runtime.counters();
  AddWork(page, values);
  AddKinds(page, values.work);
  if (const runtime::MetricSink* sink = runtime.options().metric_sink) {
    sink->AddMetrics(page);
  }
  AddProcess(page);
  return page.Text();
}

}  // namespace wattle::http
