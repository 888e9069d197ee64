// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// External limits that stop work: the guard of the device's policies, and the lease. The hold of
// the device's owner is in agent_core_owner.cc.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/fault_point.h"
#include "policy/guard_reason.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/attempt_facts_internal.h"
#include "worker/agent/core/lower_mode.h"

namespace wattle::agent {

policy::StopEstimate AgentCore::SeenStopOf(const std::string& attempt_id) const {
  return attempt_id == seen_stop_of_ ? seen_stop_ : policy::StopEstimate();
}

// A run's measured stop also counts after the run: if the prediction is too small, work would
// otherwise restart at once and exceed the limit that stopped it.
policy::StopEstimate AgentCore::StopEstimateNow() const {
  if (run_ != nullptr) {
    return run_->StopEstimateNow();
  }
  for (const std::string& id : order_) {
    const v1::HeldAttemptRecord& record = held_.at(id);
    if (!IsTerminal(record.state())) {
      return LongerOf(
          policy::PredictedStop(record.assignment().spec(), PredictionOf(record.assignment())),
          SeenStopOf(id));
    }
  }
  return {};
}

// The budget's day never goes back: a clock that starts at 1970 after each power cut and is set
// later must not grant a second budget. A clock that was ahead is the exception: once the clock has
// shown an earlier day for 24 powered-on hours, that day counts. Energy drawn while the day was
// unknown counts in both days that it may belong to, so that no day gets two budgets.
void AgentCore::CountBudget(const Instant& now) {
  const Joules drawn =
      account_.work_energy() - std::exchange(budget_counted_, account_.work_energy());
  if (!limits_.budget) {
    undated_energy_ = Joules(0);
    return;
  }
  v1::BudgetDayRecord& record = *device_.mutable_budget_day();
  const std::optional<int64_t> day = policy::DayOf(*limits_.budget, now.civil);
  if (!day) {
    undated_energy_ += drawn;
    record.set_spent_energy_joules(record.spent_energy_joules() + drawn.value());
    return;
  }
  const Joules undated = std::exchange(undated_energy_, Joules(0));
  if (budget_day_turn_.BeginsAnew(*day, now.wall, record)) {
    record.set_day(*day);
    record.set_spent_energy_joules(undated.value());
  }
  record.set_spent_energy_joules(record.spent_energy_joules() + drawn.value());
}

std::optional<Joules> AgentCore::BudgetSpent() const {
  if (device_.budget_day().day() == 0) {
    return std::nullopt;
  }
  return Joules(device_.budget_day().spent_energy_joules());
}

void AgentCore::OnUnderVoltage(Monotonic at) {
  if (!WATTLE_FAULT_POINT("weak supply")) {
    guard_.AddUnderVoltage(at);
  }
}

void AgentCore::CountPause(const Instant& now) {
  const double seconds =
      absl::ToDoubleSeconds(now.device - std::exchange(pause_looked_at_, now.device));
  if (run_ != nullptr || MayWork()) {
    return;
  }
  if (const std::string next = NextToStart(now); !next.empty()) {
    v1::Receipt& receipt = *held_.at(next).mutable_receipt();
    receipt.set_paused_seconds(receipt.paused_seconds() + seconds);
    if (policy::IsWeakSupply(guard_.reason())) {
      receipt.set_under_voltage_seconds(receipt.under_voltage_seconds() + seconds);
    }
  }
}

void AgentCore::CheckGuard(const Instant& now) {
  CountPause(now);
  const std::string before = guard_.reason();
  const std::string warned = guard_.warning();
  CountBudget(now);
  const std::string& reason = guard_.Check(limits_, StopEstimateNow(),
                                           {.now = now.device,
                                            .civil = now.civil,
                                            .time_scale = clock_.time_scale(),
                                            .budget_spent = BudgetSpent(),
                                            .idle = account_.idle().power()});
  if (reason.empty() != before.empty()) {
    ports_.Note(reason.empty() ? "guard: work may go on" : "guard: " + reason);
    next_heartbeat_ = now.wall;  // at once, because the coordinator plans with the guard's state
  }
  if (!guard_.warning().empty() && guard_.warning() != warned) {
    ports_.Note("guard: warning: " + guard_.warning());
  }
  FollowStrain(now);
  if (!reason.empty() && run_ != nullptr && !run_->stopping()) {
    run_->Stop(StopReason::kGuard, now);
  }
}

void AgentCore::FollowStrain(const Instant& now) {
  if (strained_ != guard_.strain().empty()) {
    return;
  }
  strained_ = !strained_;
  if (run_ == nullptr || run_->has_result() || run_->stopping() || mode_of_others_ ||
      !guard_.reason().empty()) {
    return;
  }
  const std::string before = settings_.info.power_mode();
  EnterPowerMode(run_->record().assignment());
  const std::string& mode = settings_.info.power_mode();
  if (mode == before) {
    return;
  }
  const std::string line = strained_ ? absl::StrCat("guard: power mode ", mode, " instead of ",
                                                    before, ": ", guard_.strain())
                                     : absl::StrCat("guard: power mode ", mode, " again");
  ports_.Note(line);
  run_->Log(line, now);
  FollowMode();
}

void AgentCore::FollowMode() {
  const std::string& placed = PlacedMode(run_->record().assignment());
  const std::string& mode = settings_.info.power_mode();
  if (mode == placed || mode == LowestModeBelow(settings_.info, placed)) {
    run_->FollowMode(placed, mode);
  }
}

std::string AgentCore::Warnings() const {
  std::vector<std::string> warnings = {guard_.warning(), sensor_warning_, certificate_problem_};
  if (limits_.power_off && !settings_.powers_off) {
    warnings.push_back(absl::StrCat("policy ", limits_.power_off->policy,
                                    ": the board cannot switch itself off; run wattle-powerd "
                                    "--allow-power-off on it"));
  }
  if (run_ != nullptr) {
    warnings.push_back(run_->LossWarning());
  }
  std::erase_if(warnings, [](const std::string& warning) { return warning.empty(); });
  return absl::StrJoin(warnings, "; ");
}

void AgentCore::CheckPowerOff(const Instant& now) {
  if (!settings_.powers_off) {
    return;
  }
  const std::string before = power_off_.reason();
  const auto charge = guard_.Charge(now.device);
  const bool goes_off = power_off_.GoesOff(
      limits_.power_off,
      {.now = now.device,
       .charge = charge ? std::optional(charge->value) : std::nullopt,
       .into_pack = forecast_.Power(now.device),
       .in_use = run_ != nullptr || owner_hold_.active() || upgrader_.Progress().has_value()});
  if (!power_off_.reason().empty() && before.empty()) {
    ports_.Note("power off: " + power_off_.reason());
    next_heartbeat_ = now.wall;  // the last one for a long time
  }
  if (!goes_off) {
    return;
  }
  SaveDevice(now);
  if (const absl::Status off = ports_.PowerOffBoard(); !off.ok()) {
    ports_.Note(absl::StrCat("power off: the board stays on: ", std::string(off.message())));
  }
}

absl::Duration AgentCore::LeaseUsed(Monotonic wall) const {
  if (welcomed_) {
    return absl::ZeroDuration();
  }
  // While the owner holds the board, the leases do not run.
  return owner_hold_.active() ? lease_used_ : lease_used_ + (wall - lease_since_);
}

void AgentCore::CheckLease(const Instant& now) {
  if (run_ == nullptr || run_->stopping() || run_->has_result() ||
      WATTLE_FAULT_POINT("lease of the worker")) {
    return;  // a result that waits for its upload spends no energy
  }
  const double lease_seconds = run_->record().assignment().lease_seconds();
  if (lease_seconds > 0 && LeaseUsed(now.wall) >= absl::Seconds(lease_seconds)) {
    ports_.Note(absl::StrCat(run_->record().assignment().attempt_id(),
                             ": lease ended without contact to the coordinator"));
    run_->Stop(StopReason::kLease, now);
  }
}

}  // namespace wattle::agent
