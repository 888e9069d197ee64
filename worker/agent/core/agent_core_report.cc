// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the core tells: reports, heartbeats, records on its disk. What it decides: agent_core.cc.
#include <string>
#include <utility>

#include "worker/agent/core/agent_core.h"

namespace wattle::agent {
namespace {

// What a power cut may cost of the device's counters while nothing runs.
constexpr absl::Duration kIdleSavePeriod = absl::Minutes(5);
constexpr char kLimitsUnreadable[] =
    "the limits for this device cannot be read; it waits until the coordinator tells them again";

template <typename Fact>
void Name(const v1::Assignment& assignment, Fact* fact) {
  fact->set_attempt_id(assignment.attempt_id());
  fact->set_fencing_token(assignment.fencing_token());
}

}  // namespace

void AgentCore::Report(v1::Report report, const Instant& now) {
  report.set_at_unix_seconds(absl::ToDoubleSeconds(now.civil - absl::UnixEpoch()));
  unsaved_.push_back(std::move(report));
  FlushReports();
}

void AgentCore::FlushReports() {
  while (!unsaved_.empty()) {
    const absl::StatusOr<int64_t> sequence = spool_.Append(unsaved_.front());
    if (!sequence.ok()) {
      ports_.Note(std::string(sequence.status().message()));
      return;
    }
    unsaved_.pop_front();
    if (welcomed_) {
      v1::WorkerMessage message;
      *message.mutable_report() = spool_.pending().back();
      ports_.Send(message);
    }
  }
}

void AgentCore::ReportLedger(const Instant& now) {
  next_ledger_ = now.wall + kLedgerPeriod;
  v1::Report report;
  *report.mutable_ledger() = account_.ledger();
  report.mutable_ledger()->set_at_unix_seconds(
      absl::ToDoubleSeconds(now.civil - absl::UnixEpoch()));
  Report(std::move(report), now);
  SaveDevice(now);
}

void AgentCore::SaveDevice(const Instant& now) {
  next_save_ = now.wall + (run_ != nullptr ? kSavePeriod : kIdleSavePeriod);
  *device_.mutable_ledger() = account_.ledger();
  if (const auto idle = account_.idle().power()) {
    device_.set_idle_power_watts(idle->value());
    device_.set_idle_samples(account_.idle().samples());
  }
  if (settings_.info.emulated() && battery_) {
    device_.set_state_of_charge_ratio(battery_->state_of_charge.value());
    device_.set_initial_state_of_charge_ratio(settings_.initial_charge.value());
  }
  device_.set_lease_used_seconds(absl::ToDoubleSeconds(LeaseUsed(now.wall)));
  const absl::Status status = state_.WriteDevice(device_);
  if (!status.ok()) {
    ports_.Note(std::string(status.message()));
  }
}

void AgentCore::SaveRun(const Instant& now) {
  v1::HeldAttemptRecord& held = held_[run_->record().assignment().attempt_id()];
  const v1::AttemptState state = held.state();
  held = run_->Snapshot(now);
  held.set_state(state);
  SaveAttempt(held);
}

void AgentCore::SaveAttempt(const v1::HeldAttemptRecord& record) {
  const absl::Status status = state_.WriteAttempt(record);
  if (!status.ok()) {
    ports_.Note(std::string(status.message()));
  }
}

void AgentCore::OnTemperature(std::optional<Celsius> temperature) {
  temperature_ = temperature;
  if (temperature) {
    account_.AddTemperature(*temperature);
  }
}

void AgentCore::OnBattery(const std::optional<telemetry::BatteryReading>& reading) {
  battery_ = reading;
}

void AgentCore::SetCache(std::vector<std::string> artifact_ids, int64_t used_bytes) {
  cached_ = std::move(artifact_ids);
  cache_used_bytes_ = used_bytes;
}

v1::Heartbeat AgentCore::MakeHeartbeat() const {
  v1::Heartbeat heartbeat;
  if (const auto power = account_.power()) {
    heartbeat.set_has_power(true);
    heartbeat.set_power_watts(power->value());
  }
  if (temperature_) {
    heartbeat.set_has_temperature(true);
    heartbeat.set_temperature_celsius(temperature_->value());
  }
  if (battery_) {
    heartbeat.set_has_battery(true);
    heartbeat.set_state_of_charge_ratio(battery_->state_of_charge.value());
  }
  heartbeat.set_energy_joules_total(account_.total().value());
  heartbeat.set_memory_available_bytes(memory_available_bytes_);
  for (const std::string& id : cached_) {
    heartbeat.add_cached_artifact_ids(id);
  }
  heartbeat.set_cache_used_bytes(cache_used_bytes_);
  heartbeat.set_guard_reason(limits_unreadable_ ? kLimitsUnreadable : guard_.reason());
  heartbeat.set_idle_power_watts(account_.idle().power().value_or(Watts(0)).value());
  if (run_ != nullptr) {
    *heartbeat.add_progress() = run_->Progress();
  }
  return heartbeat;
}

CoreCounters AgentCore::Counters() const {
  CoreCounters counters = {.tokens = device_.tokens(),
                           .attempts = {},
                           .attempt_running = run_ != nullptr,
                           .spooled_reports = static_cast<int64_t>(spool_.pending().size())};
  for (const v1::AttemptCount& count : device_.attempts()) {
    counters.attempts[count.state()] = count.count();
  }
  return counters;
}

std::optional<Watts> AgentCore::PredictedPower() const {
  const double watts =
      run_ != nullptr ? run_->record().receipt().predicted().mean_power_watts() : 0.0;
  return watts > 0 ? std::optional<Watts>(watts) : std::nullopt;
}

void AgentCore::SendHello() {
  v1::WorkerMessage message;
  v1::Hello& hello = *message.mutable_hello();
  *hello.mutable_device() = settings_.info;
  hello.mutable_device()->set_idle_power_watts(account_.idle().power().value_or(Watts(0)).value());
  hello.set_incarnation(spool_.incarnation());
  for (const auto& [id, record] : held_) {
    v1::HeldAttempt& attempt = *hello.add_attempts();
    Name(record.assignment(), &attempt);
    attempt.set_state(record.state());
  }
  ports_.Send(message);
}

void AgentCore::OnRunnerLine(const std::string& line, const Instant& now) {
  if (run_ == nullptr) {
    return;
  }
  v1::WorkerMessage message;
  v1::AttemptLog& log = *message.mutable_log();
  log.set_attempt_id(run_->record().assignment().attempt_id());
  log.set_at_unix_seconds(absl::ToDoubleSeconds(now.civil - absl::UnixEpoch()));
  log.set_text(line);
  ports_.Send(message);
}

}  // namespace wattle::agent
