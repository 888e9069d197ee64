// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/device_metrics.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "coordinator/core/queueing.h"
#include "proto/state_names.h"
#include "scheduler/place/rules/selector.h"
#include "telemetry/export/device_metrics.h"

namespace wattle::http {
namespace {

using telemetry::MetricLabels;
using telemetry::MetricsPage;

void AddLedger(const v1::DeviceRecord& record, MetricsPage& page) {
  const v1::EnergyLedger& ledger = record.ledger();
  if (ledger.at_unix_seconds() <= 0) {
    return;  // the device has not reported a ledger yet
  }
  const MetricLabels device = telemetry::DeviceLabels(record.info());
  for (const auto& [use, joules] : {std::pair("attempt", ledger.attempt_energy_joules()),
                                    std::pair("idle", ledger.idle_energy_joules()),
                                    std::pair("overhead", ledger.overhead_energy_joules())}) {
    MetricLabels labels = device;
    labels.emplace_back("use", use);
    page.Counter("wattle_coordinator_ledger_energy_joules_total",
                 "Measured energy of the device as the journal has it.", labels, joules);
  }
  const v1::LinkBytes& link = ledger.link_bytes();
  for (const auto& [purpose, bytes] :
       {std::pair("heartbeats", link.heartbeats()), std::pair("reports", link.reports()),
        std::pair("metrics", link.metrics()), std::pair("logs", link.logs()),
        std::pair("fetched", link.fetched()), std::pair("uploaded", link.uploaded()),
        std::pair("other", link.other())}) {
    MetricLabels labels = device;
    labels.emplace_back("purpose", purpose);
    page.Counter("wattle_coordinator_ledger_link_bytes_total",
                 "Bytes over the device's link, both directions, as the journal has it.", labels,
                 static_cast<double>(bytes));
  }
  for (int hour = 0; hour < ledger.harvest_power_watts_by_hour_size(); ++hour) {
    if (ledger.harvest_power_watts_by_hour(hour) >= 0) {
      MetricLabels labels = device;
      labels.emplace_back("hour", absl::StrCat(hour));
      page.Gauge("wattle_device_harvest_power_watts",
                 "Mean power from panel or charger in that hour of the day, UTC.", labels,
                 ledger.harvest_power_watts_by_hour(hour));
    }
  }
  page.Gauge("wattle_coordinator_ledger_timestamp_seconds",
             "When the device wrote the ledger that the journal has, by its own clock.", device,
             ledger.at_unix_seconds());
}

void AddLimits(const std::vector<v1::Policy>& policies, const v1::DeviceInfo& info,
               MetricsPage& page) {
  const policy::Limits limits = scheduler::LimitsFor(policies, info);
  const MetricLabels device = telemetry::DeviceLabels(info);
  if (limits.reserve.has_value()) {
    page.Gauge("wattle_device_reserve_ratio",
               "State of charge that policies keep for the device, 0 to 1.", device,
               limits.reserve->state_of_charge.value());
  }
  if (limits.temperature_max.has_value()) {
    page.Gauge("wattle_device_temperature_limit_celsius",
               "Temperature above which policies stop work.", device,
               limits.temperature_max->temperature.value());
  }
}

void AddObserved(const v1::DeviceInfo& info, const core::DeviceObservation& seen, bool takes_pushed,
                 MetricsPage& page) {
  const v1::Heartbeat& heartbeat = seen.heartbeat;
  if (!seen.connected || !seen.last_seen.has_value()) {
    return;
  }
  if (heartbeat.unix_seconds() > 0) {
    page.Gauge("wattle_device_clock_offset_seconds",
               "The device's clock minus the coordinator's, with the delay of the link in it.",
               telemetry::DeviceLabels(info),
               heartbeat.unix_seconds() - core::ToUnix(seen.last_seen->wall));
  }
  if (heartbeat.clock_source() != v1::CLOCK_SOURCE_UNSPECIFIED) {
    const bool known = heartbeat.clock_source() == v1::CLOCK_SOURCE_KERNEL ||
                       heartbeat.clock_source() == v1::CLOCK_SOURCE_COORDINATOR;
    page.Gauge("wattle_device_clock_error_seconds",
               "How far the time that the device knows may be off; infinite: it knows none.",
               telemetry::DeviceLabels(info),
               known ? heartbeat.clock_error_seconds() : std::numeric_limits<double>::infinity());
  }
  if (info.metrics_address().empty() && !(info.pushes_metrics() && takes_pushed)) {
    const v1::EnergySource source = heartbeat.power_source() != v1::ENERGY_SOURCE_UNSPECIFIED
                                        ? heartbeat.power_source()
                                        : info.energy_source();
    const bool measured =
        source != v1::ENERGY_SOURCE_UNSPECIFIED && source != v1::ENERGY_SOURCE_MODEL;
    telemetry::AddHeartbeat(info, heartbeat, LowerName(source), measured, page);
  }
}

}  // namespace

void AddDeviceConditions(const core::State& state, const core::Observations& observations,
                         bool takes_pushed, MetricsPage& page) {
  std::vector<v1::Policy> policies;
  for (const auto& [name, policy] : state.policies) {
    policies.push_back(policy);
  }
  for (const auto& [id, record] : state.devices) {
    if (record.removed()) {
      continue;
    }
    const MetricLabels device = telemetry::DeviceLabels(record.info());
    page.Gauge("wattle_device_drained", "1 while a person keeps new work from the device.", device,
               record.drained() ? 1 : 0);
    page.Gauge(
        "wattle_device_identity_problem",
        "1 while something is wrong with the device's identity, such as two boards with one.",
        device, record.problem().empty() ? 0 : 1);
    int queued = 0;
    for (const v1::Attempt* const attempt : core::AttemptsOn(state, id)) {
      queued += core::IsQueued(state, *attempt) ? 1 : 0;
    }
    page.Gauge("wattle_device_queued_attempts",
               "Attempts that wait on the device behind its running one.", device, queued);
    if (record.info().battery_capacity_wh() > 0) {
      page.Gauge("wattle_device_battery_capacity_joules", "Energy of the full battery.", device,
                 record.info().battery_capacity_wh() * 3600);
    }
    AddLimits(policies, record.info(), page);
    AddLedger(record, page);
    if (const auto seen = observations.devices.find(id); seen != observations.devices.end()) {
      AddObserved(record.info(), seen->second, takes_pushed, page);
    }
  }
}

void AddJournalConditions(const core::State& state, const core::Instant& now, MetricsPage& page) {
  const double now_unix_seconds = core::ToUnix(now.wall);
  int64_t overdue = 0;
  std::optional<double> oldest_queued;
  for (const int64_t number : state.open_jobs) {
    const v1::JobRecord* const record = core::FindJob(state, JobId(absl::StrCat("j", number)));
    if (record == nullptr) {
      continue;
    }
    const v1::Job& job = record->job();
    if (job.spec().deadline_seconds() > 0 &&
        now_unix_seconds > job.submitted_unix_seconds() + job.spec().deadline_seconds()) {
      ++overdue;
    }
    if (job.state() == v1::JOB_STATE_QUEUED) {
      oldest_queued = std::min(oldest_queued.value_or(job.submitted_unix_seconds()),
                               job.submitted_unix_seconds());
    }
  }
  page.Gauge("wattle_coordinator_overdue_jobs", "Open jobs that are past their deadline.", {},
             static_cast<double>(overdue));
  if (oldest_queued.has_value()) {
    page.Gauge("wattle_coordinator_oldest_queued_timestamp_seconds",
               "When the queued job that waits longest was submitted; absent without a queue.", {},
               *oldest_queued);
  }
  page.Gauge("wattle_coordinator_journal_epoch",
             "How often a copy of the journal was opened, as after a restore.", {},
             state.openings.empty() ? 0.0 : static_cast<double>(state.openings.back().epoch()));
  page.Gauge("wattle_coordinator_journal_info", "Which journal this is; always 1.",
             {{"lineage", state.lineage_id}}, 1);
  page.Gauge("wattle_coordinator_clock_timestamp_seconds", "The coordinator's clock.", {},
             now_unix_seconds);
}

}  // namespace wattle::http
