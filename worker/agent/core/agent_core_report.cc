// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core's reports, heartbeats and records on disk. Its decisions are in agent_core.cc and
// agent_core_limits.cc.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "proto/report_digest.h"
#include "proto/spec_revision.h"
#include "units/format.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/attempt_facts_internal.h"

namespace wattle::agent {
namespace {

// The time to the next try after the disk refused a report.
constexpr absl::Duration kFlushRetryPeriod = absl::Seconds(5);
constexpr absl::Duration kDiskNotePeriod = absl::Minutes(10);

// The protocol versions (coordinator/core/core.h) that this worker speaks.
constexpr int32_t kProtocolMin = 1;
constexpr int32_t kProtocolMax = 3;
// Hours of harvest in a heartbeat; only the first heartbeat of a stream has more.
constexpr int64_t kHoursTold = 24;

// The latest hours, at most `most` of them.
v1::RecentHarvest RecentHarvestOf(const telemetry::HarvestOfHours& hours,
                                  int64_t most = telemetry::RecentHarvest::kHours) {
  v1::RecentHarvest recent;
  recent.set_last_hour(hours.last_hour);
  const auto size = static_cast<int64_t>(hours.power.size());
  for (int64_t hour = std::max<int64_t>(0, size - most); hour < size; ++hour) {
    const std::optional<Watts>& power = hours.power[static_cast<size_t>(hour)];
    recent.add_power_watts(static_cast<float>(power.value_or(Watts(-1)).value()));
  }
  return recent;
}

}  // namespace

void AgentCore::Report(v1::Report report, const Instant& now) {
  report.set_at_unix_seconds(StampOf(now));
  unsaved_.push_back(std::move(report));
  if (now.wall >= next_flush_) {
    FlushReports(now);
  }
}

// Reports an end again, from the attempt's record.
void AgentCore::ReportEndAgain(const v1::HeldAttemptRecord& record, const Instant& now) {
  v1::Report report;
  switch (record.state()) {
    case v1::ATTEMPT_STATE_FINISHED: {
      v1::AttemptFinished& finished = *report.mutable_finished();
      SetAttempt(record.assignment(), &finished);
      *finished.mutable_receipt() = record.receipt();
      if (!record.receipt().output_artifact_id().empty()) {
        finished.mutable_output()->set_artifact_id(record.receipt().output_artifact_id());
      }
      break;
    }
    case v1::ATTEMPT_STATE_FAILED: {
      v1::AttemptFailed& failed = *report.mutable_failed();
      SetAttempt(record.assignment(), &failed);
      failed.set_failure_class(record.receipt().failure_class());
      failed.set_message(record.receipt().failure_message());
      *failed.mutable_receipt() = record.receipt();
      break;
    }
    case v1::ATTEMPT_STATE_SUPERSEDED:
      SetAttempt(record.assignment(), report.mutable_stopped());
      SetReceipt(record, report.mutable_stopped());
      break;
    default:
      return;
  }
  Report(std::move(report), now);
}

// Reports were lost, so the worker reports the state of each held attempt again. The coordinator
// ignores facts that it already has.
void AgentCore::ReportHeldAgain(const Instant& now) {
  std::set<std::string> end_is_pending;
  for (const v1::Report& report : spool_.pending()) {
    end_is_pending.insert(EndedAttempt(report));
  }
  for (const std::string& id : order_) {
    const v1::HeldAttemptRecord& record = held_.at(id);
    if (end_is_pending.count(id) > 0 || WaitsForUpload(id)) {
      continue;
    }
    if (IsTerminal(record.state())) {
      ReportEndAgain(record, now);
      continue;
    }
    v1::Report report;
    SetAttempt(record.assignment(), report.mutable_accepted());
    Report(std::move(report), now);
  }
}

// The coordinator and the spool disagree about the reports' numbers, so the numbering starts anew.
void AgentCore::RenumberReports(const std::string& why, const Instant& now) {
  const absl::Status begun = spool_.BeginIncarnation();
  if (!begun.ok()) {
    greet_again_ = now.wall + kFlushRetryPeriod;
    return NoteDisk(begun, now);
  }
  ports_.Note(absl::StrCat(why, "; its reports are numbered anew and sent again"));
  spool_repaired_ = true;
  ReportHeldAgain(now);
  ports_.Reconnect();
}

void AgentCore::FlushReports(const Instant& now) {
  if (!unsaved_.empty() && (device_unsaved_ || ended_unsaved_)) {
    // Saved first: the ledger on the disk is never below a receipt, and an attempt whose end is
    // reported never restarts.
    if (device_unsaved_) {
      SaveDevice(now);
    }
    if (ended_unsaved_) {
      SaveEnded();
    }
    if (device_unsaved_ || ended_unsaved_) {
      next_flush_ = now.wall + kFlushRetryPeriod;
      return;
    }
  }
  while (!unsaved_.empty()) {
    const absl::StatusOr<int64_t> sequence = spool_.Append(unsaved_.front());
    if (!sequence.ok()) {
      next_flush_ = now.wall + kFlushRetryPeriod;
      return NoteDisk(sequence.status(), now);
    }
    unsaved_.pop_front();
    if (welcomed_ && !reports_wait_) {
      v1::WorkerMessage message;
      *message.mutable_report() = spool_.pending().back();
      ports_.Send(message);
    }
  }
}

bool AgentCore::HasUnacknowledgedLedger() const {
  const auto is_ledger = [](const v1::Report& report) { return report.has_ledger(); };
  return std::any_of(spool_.pending().begin(), spool_.pending().end(), is_ledger) ||
         std::any_of(unsaved_.begin(), unsaved_.end(), is_ledger);
}

// The ledger is saved before it is reported: otherwise a kill would set it back, and the
// coordinator refuses a ledger that goes back. At most one report of it waits, because each
// contains the previous one; the newest follows once that one is acknowledged.
void AgentCore::ReportLedger(const Instant& now) {
  next_ledger_ = now.wall + settings_.ledger_period;
  SaveDevice(now);
  ledger_waits_ = HasUnacknowledgedLedger();
  if (ledger_waits_) {
    return;
  }
  v1::Report report;
  *report.mutable_ledger() = account_.ledger();
  for (int hour = 0; settings_.guard.has_gauge && hour < 24; ++hour) {
    report.mutable_ledger()->add_harvest_power_watts_by_hour(
        forecast_.HarvestAt(hour).value_or(Watts(-1)).value());
  }
  report.mutable_ledger()->set_at_unix_seconds(StampOf(now));
  *report.mutable_ledger()->mutable_link_bytes() = link_.bytes();
  Report(std::move(report), now);
}

void AgentCore::SaveDevice(const Instant& now) {
  next_save_ = now.wall + (run_ != nullptr ? kSavePeriod : settings_.idle_save_period);
  KeepMeasured(now);
  *device_.mutable_ledger() = account_.ledger();
  if (const auto idle = account_.idle().power()) {
    device_.set_idle_power_watts(idle->value());
    device_.set_idle_samples(account_.idle().samples());
  }
  if (const auto charge = guard_.Charge(now.device); charge && settings_.info.emulated()) {
    device_.set_state_of_charge_ratio(charge->value.value());
    device_.set_initial_state_of_charge_ratio(settings_.initial_charge.value());
  }
  if (const auto& counted = charge_counter_.standing()) {
    v1::ChargeRecord& kept = *device_.mutable_charge();
    kept.set_counted_joules((counted->charge.state_of_charge.value() * counted->capacity).value());
    kept.set_error_joules((counted->charge.error.value() * counted->capacity).value());
    kept.set_capacity_joules(counted->capacity.value());
    kept.set_source(counted->source);
    kept.set_boot_id(settings_.boot_id);
    kept.set_at_boottime_seconds(absl::ToDoubleSeconds(counted->at.since_boot()));
    const absl::Time at = now.civil.time - (now.device - counted->at);
    kept.set_at_unix_seconds(now.civil.known() ? absl::ToDoubleSeconds(at - absl::UnixEpoch())
                                               : 0.0);
  }
  device_.clear_harvest();
  for (const telemetry::HarvestHour& hour : forecast_.harvest()) {
    v1::HarvestHour& kept = *device_.add_harvest();
    kept.set_energy_joules(hour.energy.value());
    kept.set_seconds(absl::ToDoubleSeconds(hour.observed));
  }
  *device_.mutable_recent_harvest() = RecentHarvestOf(forecast_.recent());
  device_.set_lease_used_seconds(absl::ToDoubleSeconds(LeaseUsed(now.wall)));
  *device_.mutable_checkpoint_cadence() = cadence_.record();
  *device_.mutable_link() = link_.record();
  if (now.civil.known()) {
    *device_.mutable_clock() = RecordOf(now.civil, settings_.boot_id, now.wall);
  }
  if (undated_energy_ > Joules(0)) {
    // An empty id tells Start that energy was drawn which may belong to a later day.
    device_.mutable_clock()->clear_boot_id();
  }
  device_.clear_owner_hold();
  if (owner_hold_.timed()) {
    *device_.mutable_owner_hold() = owner_hold_.Record(settings_.boot_id, now);
  }
  SaveHeat(now);
  const absl::Status saved = state_.WriteDevice(device_);
  device_unsaved_ = !saved.ok();
  NoteDisk(saved, now);
  if (saved.ok()) {
    for (const std::string& id : std::exchange(records_unsaved_, {})) {
      if (const auto held = held_.find(id); held != held_.end()) {
        SaveAttempt(held->second, now);
      }
    }
  }
  if (device_unsaved_ || !records_unsaved_.empty()) {
    next_save_ = now.wall + kDiskRetryPeriod;
  }
}

// A reboot sets the board's clock of readings back to 0: the time since the last reading is then
// the difference of civil times, if both are known. Until then the charge that flowed meanwhile is
// unknown. A count that has restarted is kept once it is more accurate.
void AgentCore::ResumeChargeCounter(const v1::ChargeRecord& kept, const Instant& now) {
  if (kept.capacity_joules() <= 0) {
    return;
  }
  const Joules capacity(kept.capacity_joules());
  Monotonic at(absl::Seconds(kept.at_boottime_seconds()));
  if (kept.boot_id() != settings_.boot_id) {
    if (kept.at_unix_seconds() <= 0) {
      return;
    }
    if (!now.civil.known()) {
      old_charge_ = kept;
      return;
    }
    const absl::Duration off =
        now.civil.latest() - (absl::UnixEpoch() + absl::Seconds(kept.at_unix_seconds()));
    at = now.device - off;
    const auto& begun = charge_counter_.standing();
    const Fraction error = Fraction(Joules(kept.error_joules()) / capacity) +
                           Fraction(absl::FDivDuration(off, telemetry::ChargeCounter::kUnseenTime));
    if (begun && begun->charge.error <= error) {
      return;
    }
    charge_counter_ = telemetry::ChargeCounter();
  }
  charge_counter_.Resume(
      {.source = kept.source(),
       .capacity = capacity,
       .charge = {.state_of_charge = Fraction(Joules(kept.counted_joules()) / capacity),
                  .error = Fraction(Joules(kept.error_joules()) / capacity)},
       .at = at});
}

// The attempts' measurements are saved with the ledger, in one write. Otherwise a power cut between
// the ledger and an attempt's record would take joules from the receipt that the ledger includes:
// after a full disk the joules of hours.
void AgentCore::KeepMeasured(const Instant& now) {
  if (run_ != nullptr) {
    v1::HeldAttemptRecord& held = held_[run_->record().assignment().attempt_id()];
    const v1::AttemptState state = held.state();
    held = run_->Snapshot(now);
    held.set_state(state);
    held.set_boot_id(settings_.boot_id);
  }
  device_.clear_measured();
  for (const auto& [id, record] : held_) {
    v1::MeasuredAttempt& measured = *device_.add_measured();
    measured.set_fencing_token(record.assignment().fencing_token());
    measured.mutable_receipt()->set_attempt_id(id);
    CopyMeasured(record.receipt(), *measured.mutable_receipt());
    measured.set_boot_id(record.boot_id());
    measured.set_written_boottime_seconds(record.written_boottime_seconds());
  }
}

// Restores at a start what KeepMeasured saved.
void AgentCore::TakeMeasured() {
  const auto measured_seconds = [](const v1::Receipt& receipt) {
    return receipt.total().seconds() + receipt.paused_seconds();
  };
  for (const v1::MeasuredAttempt& measured : device_.measured()) {
    const auto held = held_.find(measured.receipt().attempt_id());
    // An attempt can return under another token. A worker of an earlier version leaves this list
    // unchanged, so the list may be older than the record.
    if (held == held_.end() ||
        held->second.assignment().fencing_token() != measured.fencing_token() ||
        measured_seconds(measured.receipt()) <= measured_seconds(held->second.receipt()) ||
        WATTLE_FAULT_POINT("measured attempts")) {
      continue;
    }
    CopyMeasured(measured.receipt(), *held->second.mutable_receipt());
    held->second.set_boot_id(measured.boot_id());
    held->second.set_written_boottime_seconds(measured.written_boottime_seconds());
  }
}

// Saves the ledger, then the attempt's record.
void AgentCore::SaveRun(const Instant& now) {
  SaveDevice(now);
  SaveAttempt(held_.at(run_->record().assignment().attempt_id()), now);
}

// The record of an ended attempt waits for the report of its end: a process that finds only the
// record reports nothing, and the job hangs.
void AgentCore::SaveAttempt(const v1::HeldAttemptRecord& record, const Instant& now) {
  const bool waits = IsTerminal(record.state()) && !unsaved_.empty();
  const absl::Status saved = waits ? absl::OkStatus() : state_.WriteAttempt(record);
  if (waits || !saved.ok()) {
    records_unsaved_.insert(record.assignment().attempt_id());
    next_save_ = std::min(next_save_, now.wall + kSavePeriod);
  }
  NoteDisk(saved, now);
}

void AgentCore::NoteDisk(const absl::Status& status, const Instant& now) {
  if (!status.ok() && now.wall >= next_disk_note_) {
    next_disk_note_ = now.wall + kDiskNotePeriod;
    ports_.Note(std::string(status.message()));
  }
}

void AgentCore::OnTemperature(Monotonic at, Celsius temperature,
                              std::optional<Celsius> throttles_at) {
  guard_.AddTemperature(at, temperature);
  account_.AddTemperature(temperature);
  throttles_at_ = throttles_at ? throttles_at : throttles_at_;
  AddHeat(at, temperature);
}

void AgentCore::OnCharge(Monotonic at, Fraction state_of_charge, std::optional<Joules> capacity,
                         std::optional<Watts> discharge, std::optional<Fraction> error) {
  guard_.AddCharge(at, state_of_charge, capacity, error);
  forecast_.Add({.at = at,
                 .civil = civil_,
                 .charge = state_of_charge,
                 .capacity = capacity,
                 .discharge = discharge,
                 .device = account_.power()});
  if (capacity) {
    settings_.info.set_battery_capacity_wh(ToWattHours(*capacity));
  }
}

void AgentCore::OnBatteryCurrent(const telemetry::BatteryCurrent& current, Watts discharge) {
  const telemetry::CountedCharge counted = charge_counter_.Add(current);
  OnCharge(current.at, counted.state_of_charge, current.capacity, discharge, counted.error);
}

void AgentCore::SetCache(std::vector<std::string> artifact_ids, int64_t used_bytes) {
  cached_ = std::move(artifact_ids);
  cache_used_bytes_ = used_bytes;
}

void AgentCore::OnShortOfRoom(int64_t size_bytes) {
  const int64_t freed_bytes = state_.FreeLeftWork(size_bytes);
  if (freed_bytes > 0) {
    ports_.Note(absl::StrCat("disk: removed ", FormatBytes(freed_bytes),
                             " of checkpoints that no attempt on this device needs"));
  }
}

void AgentCore::AddForecast(Monotonic now, v1::Heartbeat& heartbeat) const {
  if (const auto power = forecast_.Power(now)) {
    heartbeat.set_has_battery_power(true);
    heartbeat.set_battery_power_watts(power->value());
  }
  heartbeat.set_seconds_to_empty(
      absl::ToDoubleSeconds(forecast_.ToEmpty(now).value_or(absl::ZeroDuration())));
  heartbeat.set_seconds_to_full(
      absl::ToDoubleSeconds(forecast_.ToFull(now).value_or(absl::ZeroDuration())));
  if (!forecast_.recent().power.empty()) {
    *heartbeat.mutable_recent_harvest() = RecentHarvestOf(forecast_.recent(), kHoursTold);
  }
}

// A restarted coordinator judges forecasts by these hours. An older coordinator accepts at most a
// day of them, which the next heartbeat sends.
void AgentCore::AddOlderHarvest(v1::Heartbeat& heartbeat) const {
  if (heartbeat.has_recent_harvest()) {
    *heartbeat.mutable_recent_harvest() = RecentHarvestOf(forecast_.recent());
  }
}

v1::Heartbeat AgentCore::MakeHeartbeat(const Instant& now) const {
  v1::Heartbeat heartbeat;
  if (const auto power = account_.power()) {
    heartbeat.set_has_power(true);
    heartbeat.set_power_watts(power->value());
  }
  if (const auto temperature = guard_.Temperature(now.device)) {
    heartbeat.set_has_temperature(true);
    heartbeat.set_temperature_celsius(temperature->value.value());
    heartbeat.set_temperature_age_seconds(absl::ToDoubleSeconds(now.device - temperature->at));
  }
  if (heat_.fitted()) {
    *heartbeat.mutable_heat_model() = HeatModel();
  }
  if (const auto charge = guard_.Charge(now.device)) {
    heartbeat.set_has_battery(true);
    heartbeat.set_state_of_charge_ratio(charge->value.value());
    heartbeat.set_gauge_error_ratio(guard_.charge_error().value());
    heartbeat.set_battery_age_seconds(absl::ToDoubleSeconds(now.device - charge->at));
    AddForecast(now.device, heartbeat);
  }
  heartbeat.set_energy_joules_total(account_.total().value());
  heartbeat.set_memory_available_bytes(memory_available_bytes_);
  for (const std::string& id : cached_) {
    heartbeat.add_cached_artifact_ids(id);
  }
  heartbeat.set_cache_used_bytes(cache_used_bytes_);
  heartbeat.set_disk_free_bytes(disk_free_bytes_);
  heartbeat.set_unix_seconds(absl::ToDoubleSeconds(now.civil.time - absl::UnixEpoch()));
  heartbeat.set_clock_source(ToProto(now.civil.source));
  if (now.civil.known()) {
    heartbeat.set_clock_error_seconds(absl::ToDoubleSeconds(now.civil.error));
  }
  if (link_.measured() && takes_heartbeat_changes_) {
    *heartbeat.mutable_link() = link_.measure();
  }
  if (limits_.link_bytes_per_day) {
    heartbeat.set_link_day_bytes(link_.day_bytes());
  }
  heartbeat.set_power_source(account_.origin().source);
  heartbeat.set_guard_reason(guard_.reason());
  heartbeat.set_memory_problem(memory_pressure_.problem());
  heartbeat.set_storage_problem(storage_.problem());
  heartbeat.set_guard_warning(Warnings());
  heartbeat.set_power_off_reason(power_off_.reason());
  heartbeat.set_idle_power_watts(account_.idle().power().value_or(Watts(0)).value());
  heartbeat.set_owner_hold_seconds(absl::ToDoubleSeconds(owner_hold_.Left(now)));
  if (limits_.budget) {
    heartbeat.set_has_budget_day(true);
    heartbeat.set_budget_day_energy_joules(device_.budget_day().spent_energy_joules());
  }
  if (run_ != nullptr) {
    *heartbeat.add_progress() = run_->Progress();
  }
  AddWaiting(heartbeat);
  if (const auto upgrade = upgrader_.Progress()) {
    *heartbeat.mutable_upgrade() = *upgrade;
  }
  if (const v1::HeldAttemptRecord* next = NextToHandOver();
      next != nullptr && handed_over_.handed_bytes > 0) {
    v1::HandOverProgress& hand_over = *heartbeat.mutable_hand_over();
    hand_over.set_attempt_id(next->assignment().attempt_id());
    hand_over.set_handed_bytes(handed_over_.handed_bytes);
    hand_over.set_size_bytes(handed_over_.size_bytes);
  }
  return heartbeat;
}

CoreCounters AgentCore::Counters() const {
  CoreCounters counters = {
      .tokens = device_.tokens(),
      .attempts = {},
      .attempt_running = run_ != nullptr,
      .spooled_reports = static_cast<int64_t>(spool_.pending().size()),
      .spool_repaired = spool_repaired_ || !spool_.repair().empty(),
      .energy_since_boot = account_.total() - Joules(device_.energy_joules_at_boot())};
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

void AgentCore::SendHello(const Instant& now) {
  greeted_ = now.wall;
  v1::WorkerMessage message;
  v1::Hello& hello = *message.mutable_hello();
  *hello.mutable_device() = settings_.info;
  hello.mutable_device()->set_spec_revision(kSpecRevision);
  hello.mutable_device()->set_power_mode(own_power_mode_);
  hello.mutable_device()->set_energy_source(account_.origin().source);
  hello.mutable_device()->set_energy_scope(account_.origin().scope);
  hello.mutable_device()->set_has_battery_gauge(settings_.guard.has_gauge);
  hello.mutable_device()->set_gauge_error_ratio(
      settings_.guard.has_gauge ? settings_.guard.gauge_error.value() : 0.0);
  hello.mutable_device()->set_idle_power_watts(account_.idle().power().value_or(Watts(0)).value());
  hello.set_incarnation(spool_.incarnation());
  hello.set_lineage_id(lineage_.lineage_id());
  hello.set_epoch(lineage_.epoch());
  hello.set_opening_id(lineage_.opening_id());
  hello.set_protocol_min(kProtocolMin);
  hello.set_protocol_max(kProtocolMax);
  hello.set_process_id(process_id_);
  hello.set_last_report_sequence(spool_.last_sequence());
  if (!spool_.pending().empty()) {
    hello.set_last_report_digest(ReportDigest(spool_.pending().back()));
  }
  greeting_ = true;
  for (const auto& [id, record] : held_) {
    v1::HeldAttempt& attempt = *hello.add_attempts();
    SetAttempt(record.assignment(), &attempt);
    attempt.set_state(record.state());
    attempt.set_lease_seconds(record.assignment().lease_seconds());
    attempt.set_power_mode(record.assignment().power_mode());
    attempt.set_on_cpu(record.assignment().on_cpu());
    attempt.set_checkpoint_step(record.newest_checkpoint_step());
  }
  *hello.mutable_results_to_return() = ended_.results_to_return();
  ports_.Send(message);
}

void AgentCore::OnRunnerLine(const std::string& line, const Instant& now) {
  if (run_ != nullptr) {
    run_->Log(line, now);
  }
}

}  // namespace wattle::agent
