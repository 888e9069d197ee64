// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/agent_core.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/fault_point.h"
#include "worker/agent/core/attempt_facts_internal.h"
#include "worker/agent/core/attempt_log.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kRetryPeriod = absl::Seconds(5);
// The longest wait for the reading that settles an attempt's last joules, in device time. With a
// slower sensor those joules are missing.
constexpr absl::Duration kLastReadingWait = absl::Seconds(3);

constexpr char kLimitsUnreadable[] =
    "their copy on the disk cannot be read; work waits until the coordinator tells them again";

policy::Limits LimitsOf(const v1::DesiredSet& desired) {
  std::vector<const v1::Policy*> policies;
  for (const v1::Policy& policy : desired.policies()) {
    policies.push_back(&policy);
  }
  return policy::LimitsOf(policies);
}

telemetry::HarvestHours HarvestOf(const v1::WorkerRecord& record) {
  telemetry::HarvestHours hours;
  for (size_t hour = 0; hour < hours.size() && record.harvest_size() == 24; ++hour) {
    const v1::HarvestHour& kept = record.harvest(static_cast<int>(hour));
    hours[hour] = {Joules(kept.energy_joules()), absl::Seconds(kept.seconds())};
  }
  return hours;
}

}  // namespace

AgentCore::AgentCore(const CoreDependencies& dependencies, CoreSettings settings)
    : state_(*dependencies.state),
      spool_(*dependencies.spool),
      ports_(*dependencies.ports),
      account_(*dependencies.account),
      pace_(*dependencies.pace),
      clock_(*dependencies.clock),
      settings_(std::move(settings)),
      device_(dependencies.kept),
      process_id_(absl::StrCat(absl::Hex(state_.disk().Random(), absl::kZeroPad16))),
      guard_(settings_.guard),
      forecast_(HarvestOf(device_)) {}

v1::WorkerRecord ReadKeptDevice(StateDirectory& state, AgentPorts& ports) {
  StoredRecord<v1::WorkerRecord> stored = state.ReadDevice();
  if (stored.state == RecordState::kWhole) {
    return stored.record;
  }
  if (!stored.problem.empty()) {
    ports.Note(stored.problem + "; the device's energy is counted from zero, under a new counter");
  }
  stored.record.clear_ledger();
  // Positive and never 0: 0 stands for an older worker.
  stored.record.mutable_ledger()->set_counter_id(static_cast<int64_t>(state.disk().Random() >> 1) |
                                                 1);
  return stored.record;
}

void AgentCore::Start(const Instant& now) {
  StoredRecord<v1::DesiredSet> desired = state_.ReadDesired();
  if (!desired.problem.empty()) {
    ports_.Note(desired.problem);
  }
  const bool unreadable = desired.state == RecordState::kUnreadable;
  desired_ = std::move(desired.record);
  limits_ = LimitsOf(desired_);
  if (unreadable) {
    limits_.unreadable = kLimitsUnreadable;
  }
  lineage_ = state_.ReadLineage();
  ended_ = state_.ReadEnded();
  held_ = state_.ReadAttempts();
  for (const v1::Report& report : spool_.pending()) {
    // The process spooled the report of the end, then died before it wrote the record.
    const auto ended = held_.find(EndedAttempt(report));
    if (ended != held_.end() && !IsTerminal(ended->second.state())) {
      ended->second.set_state(report.has_finished() ? v1::ATTEMPT_STATE_FINISHED
                                                    : v1::ATTEMPT_STATE_FAILED);
    }
  }
  for (const auto& [id, record] : held_) {
    order_.push_back(id);
  }
  if (!spool_.repair().empty()) {
    ports_.Note(spool_.repair());
    ReportHeldAgain(now);
  }
  lease_used_ = absl::Seconds(device_.lease_used_seconds());
  lease_since_ = now.wall;
  civil_ = now.civil;
  next_heartbeat_ = now.wall;
  // An earlier process may have reported a receipt, but not yet the ledger that contains its
  // joules.
  next_ledger_ = account_.total() > Joules(0) ? now.wall : now.wall + settings_.ledger_period;
  next_save_ = now.wall + kSavePeriod;
  next_retry_ = now.wall;
}

void AgentCore::OnConnected(const Instant& /*now*/) {
  connected_ = true;
  welcomed_ = false;
  greet_again_.reset();
  SendHello();
}

void AgentCore::OnDisconnected(const Instant& now) {
  if (welcomed_) {
    lease_used_ = absl::ZeroDuration();
    lease_since_ = now.wall;
  }
  connected_ = false;
  welcomed_ = false;
}

void AgentCore::OnMessage(const v1::CoordinatorMessage& message, const Instant& now) {
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kWelcome: {
      greeting_ = false;
      if (message.welcome().heartbeat_seconds() > 0) {
        heartbeat_period_ = absl::Seconds(message.welcome().heartbeat_seconds());
      }
      if (!EnterJournal(message.welcome(), now)) {
        break;
      }
      welcomed_ = true;
      // If this write is lost, a restart only sends the reports once more.
      (void)spool_.Acknowledge(message.welcome().acknowledged_sequence());
      for (const v1::Report& report : spool_.pending()) {
        v1::WorkerMessage again;
        *again.mutable_report() = report;
        ports_.Send(again);
      }
      next_heartbeat_ = now.wall;
      break;
    }
    case v1::CoordinatorMessage::kDesired: {
      if (greeting_) {
        break;
      }
      desired_ = message.desired();
      limits_ = LimitsOf(desired_);
      NoteDisk(state_.WriteDesired(desired_), now);
      Reconcile(now);
      break;
    }
    case v1::CoordinatorMessage::kAcknowledgement:
      if (message.acknowledgement().incarnation() == spool_.incarnation()) {
        (void)spool_.Acknowledge(message.acknowledgement().sequence());  // as above
      }
      break;
    case v1::CoordinatorMessage::kClosing:
    case v1::CoordinatorMessage::kMetricsAcknowledgement:  // for the agent, which keeps the samples
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      break;
  }
  Step(now);
}

void AgentCore::Reconcile(const Instant& now) {
  reconciled_ = true;
  DropUnwanted(now);
  state_.KeepWorkOf(
      {desired_.keep_checkpoint_job_ids().begin(), desired_.keep_checkpoint_job_ids().end()});
  for (const v1::Assignment& assignment : desired_.assignments()) {
    const auto held = held_.find(assignment.attempt_id());
    if (held == held_.end() && !HasEnded(assignment)) {
      Accept(assignment, now);
    } else if (held != held_.end() &&
               held->second.assignment().fencing_token() != assignment.fencing_token()) {
      reconciled_ = false;  // The attempt with the earlier token is still stopping.
    }
  }
}

void AgentCore::Accept(const v1::Assignment& assignment, const Instant& now) {
  v1::HeldAttemptRecord record;
  *record.mutable_assignment() = assignment;
  record.set_state(v1::ATTEMPT_STATE_FETCHING);
  record.set_boot_id(settings_.boot_id);
  if (!assignment.resume_attempt_id().empty()) {
    // Without those files the attempt begins anew, or from the checkpoint that the coordinator has.
    (void)state_.TakeWork(assignment.resume_attempt_id(), assignment.attempt_id());
  }
  const absl::Status status = state_.WriteAttempt(record);
  if (!status.ok()) {
    reconciled_ = false;
    NoteDisk(absl::Status(status.code(), absl::StrCat(assignment.attempt_id(),
                                                      ": not accepted: ", status.message())),
             now);
    return;
  }
  CrashPoint("accept");
  held_[assignment.attempt_id()] = std::move(record);
  order_.push_back(assignment.attempt_id());
  v1::Report report;
  SetAttempt(assignment, report.mutable_accepted());
  Report(std::move(report), now);
}

void AgentCore::DropUnwanted(const Instant& now) {
  std::set<std::pair<std::string, int64_t>> desired;
  for (const v1::Assignment& assignment : desired_.assignments()) {
    desired.insert({assignment.attempt_id(), assignment.fencing_token()});
  }
  const std::vector<std::string> ids = order_;
  for (const std::string& id : ids) {
    const v1::HeldAttemptRecord& record = held_[id];
    if (desired.count({id, record.assignment().fencing_token()}) > 0) {
      continue;
    }
    const bool released = ReleaseOf(id) != nullptr && !IsTerminal(record.state());
    if (run_ != nullptr && run_->record().assignment().attempt_id() == id) {
      // A complete result is taken even if it is late: only its upload is left.
      if (!run_->has_result() || !(released || JobIsOpen(record.assignment().job_id()))) {
        run_->Stop(released ? StopReason::kRelease : StopReason::kUnwanted, now);
      }
      continue;
    }
    if (released) {
      continue;  // HandOverNext uploads its checkpoint.
    }
    if (!IsTerminal(record.state())) {
      v1::Report report;
      SetAttempt(record.assignment(), report.mutable_stopped());
      *report.mutable_stopped()->mutable_receipt() = record.receipt();
      report.mutable_stopped()->set_checkpoint_step(record.newest_checkpoint_step());
      RememberEnd(report);
      Report(std::move(report), now);
    }
    LetGo(id);
  }
}

// The attempt runs in the power mode of its placement. If the mode cannot be set, the attempt runs
// nevertheless, and its receipt names the mode that it ran in.
void AgentCore::EnterPowerMode(const v1::Assignment& assignment) {
  const std::string& mode = assignment.power_mode();
  if (!settings_.info.sets_power_modes() || mode.empty() || mode == settings_.info.power_mode()) {
    return;
  }
  const absl::Status set = ports_.SetPowerMode(mode);
  if (!set.ok()) {
    ports_.Note(absl::StrCat(assignment.attempt_id(), ": power mode ", mode,
                             " is not set: ", std::string(set.message())));
    return;
  }
  settings_.info.set_power_mode(mode);
}

void AgentCore::ActivateNext(const Instant& now) {
  if (run_ != nullptr || shutting_down_ || !guard_.reason().empty() || !handing_over_.empty()) {
    return;
  }
  const auto next = std::find_if(order_.begin(), order_.end(), [&](const std::string& id) {
    const v1::HeldAttemptRecord& record = held_[id];
    const double lease_seconds = record.assignment().lease_seconds();
    const bool lease_left =
        welcomed_ || lease_seconds <= 0 || LeaseUsed(now.wall) < absl::Seconds(lease_seconds);
    return !IsTerminal(record.state()) && lease_left && ReleaseOf(id) == nullptr;
  });
  if (next == order_.end()) {
    return;
  }
  const std::string id = *next;
  v1::HeldAttemptRecord record = held_[id];
  const bool interrupted = record.state() == v1::ATTEMPT_STATE_RUNNING;
  if (interrupted) {
    record.mutable_receipt()->set_restarts(record.receipt().restarts() + 1);
  }
  EnterPowerMode(record.assignment());
  AttemptSettings attempt = {.threads = settings_.threads,
                             .device = settings_.runner_device,
                             .info = settings_.info,
                             .watch = settings_.watch,
                             .free_space_reserve_bytes = settings_.free_space_reserve_bytes};
  const AttemptSurroundings surroundings = {
      .state = &state_, .ports = &ports_, .account = &account_, .pace = &pace_, .clock = &clock_};
  run_ = std::make_unique<AttemptRun>(surroundings, std::move(attempt), std::move(record));
  run_->Begin(now);
  // While idle the next save may have been set minutes ahead.
  next_save_ = std::min(next_save_, now.wall + kSavePeriod);
  if (interrupted) {
    AddLostEnergy(held_[id], now);
  }
}

// The process died while the attempt ran. The energy measured after the last record is lost. How
// long the runner went on is known no better than the period of the records.
void AgentCore::AddLostEnergy(const v1::HeldAttemptRecord& record, const Instant& now) {
  absl::Duration lost = kSavePeriod;
  if (record.boot_id() == settings_.boot_id) {
    lost = std::min(lost, now.wall.since_boot() - absl::Seconds(record.written_boottime_seconds()));
  }
  account_.AddLost(std::max(lost, absl::ZeroDuration()) / clock_.time_scale());
}

void AgentCore::OnFetched(const FetchResult& result, const Instant& now) {
  if (run_ != nullptr) {
    run_->OnFetched(result, now);
    Step(now);
  }
}

void AgentCore::OnUploaded(const UploadResult& result, const Instant& now) {
  if (run_ != nullptr) {
    run_->OnUploaded(result, now);
  } else {
    OnCheckpointUploaded(result, now);
  }
  Step(now);
}

void AgentCore::OnFrame(const v1::RunnerFrame& frame, const Instant& now) {
  if (run_ == nullptr) {
    return;
  }
  run_->Log(LineOf(frame), now);
  if (frame.has_log()) {
    return;
  }
  run_->OnFrame(frame, now);
  device_.set_tokens(device_.tokens() + run_->TakeTokens());
  v1::HeldAttemptRecord& held = held_[run_->record().assignment().attempt_id()];
  if (const std::optional<int64_t> from_step = run_->TakeStarted()) {
    held.set_state(v1::ATTEMPT_STATE_RUNNING);
    SaveRun(now);
    v1::Report report;
    SetAttempt(held.assignment(), report.mutable_started());
    report.mutable_started()->set_from_step(*from_step);
    Report(std::move(report), now);
  } else if (frame.has_checkpoint()) {
    SaveRun(now);
  }
  Step(now);
}

void AgentCore::OnRunnerExit(const child::RunnerExit& exit, const Instant& now) {
  if (run_ != nullptr) {
    run_->OnRunnerExit(exit, now);
    Step(now);
  }
}

void AgentCore::SetIdle(const Instant& now) {
  const bool paused = std::any_of(held_.begin(), held_.end(), [](const auto& held) {
    return !IsTerminal(held.second.state());
  });
  const Activity activity = paused ? Activity::kPaused : Activity::kIdle;
  account_.SetActivity(now.device, activity);
  pace_.SetActivity(now.device, activity);
}

bool AgentCore::BooksClosed(const Instant& now) {
  if (!ended_at_) {
    ended_at_ = now.device;
    SetIdle(now);
  }
  if (account_.AwaitsReading(*ended_at_) && now.device < *ended_at_ + kLastReadingWait) {
    return false;
  }
  if (account_.settled() < *ended_at_) {
    account_.Settle(*ended_at_);
  }
  return true;
}

void AgentCore::HandleEnd(const Instant& now) {
  ended_at_.reset();
  const AttemptEnd end = *run_->end();
  v1::HeldAttemptRecord record = run_->Snapshot(now);
  if (end.kind == AttemptEnd::Kind::kFailed) {
    run_->Log(absl::StrCat("failed: ", end.message), now);
  }
  device_.set_tokens(device_.tokens() + run_->TakeTokens());
  run_.reset();
  account_.EndAttempt();
  SaveDevice(now);  // before the report: the ledger is never below a reported receipt
  EndRun(std::move(record), end, now);
  SetIdle(now);
  ReportLedger(now);
}

void AgentCore::EndRun(v1::HeldAttemptRecord record, const AttemptEnd& end, const Instant& now) {
  const std::string id = record.assignment().attempt_id();
  if (std::exchange(forget_runs_, false)) {
    Forget(id);
    state_.RemoveAllWork();
    reconciled_ = false;
    return;
  }
  v1::Report report;
  switch (end.kind) {
    case AttemptEnd::Kind::kFinished: {
      CrashPoint("finish");
      record.set_state(v1::ATTEMPT_STATE_FINISHED);
      SetAttempt(record.assignment(), report.mutable_finished());
      *report.mutable_finished()->mutable_receipt() = record.receipt();
      if (end.output) {
        *report.mutable_finished()->mutable_output() = *end.output;
      }
      break;
    }
    case AttemptEnd::Kind::kFailed: {
      record.set_state(v1::ATTEMPT_STATE_FAILED);
      v1::AttemptFailed& failed = *report.mutable_failed();
      SetAttempt(record.assignment(), &failed);
      failed.set_failure_class(end.failure_class);
      failed.set_message(end.message);
      failed.set_checkpoint_step(record.newest_checkpoint_step());
      *failed.mutable_receipt() = record.receipt();
      break;
    }
    case AttemptEnd::Kind::kStopped: {
      if (end.stop == StopReason::kShutdown || end.stop == StopReason::kRelease) {
        record.set_state(v1::ATTEMPT_STATE_PAUSED);  // not an interruption: its checkpoint is new
        held_[id] = record;
        SaveAttempt(record, now);
        return;
      }
      if (end.stop == StopReason::kUnwanted) {
        record.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
        SetAttempt(record.assignment(), report.mutable_stopped());
        *report.mutable_stopped()->mutable_receipt() = record.receipt();
        report.mutable_stopped()->set_checkpoint_step(record.newest_checkpoint_step());
        if (WATTLE_FAULT_POINT("stopped energy")) {
          report.mutable_stopped()->mutable_receipt()->clear_total();
        }
        break;
      }
      record.set_state(v1::ATTEMPT_STATE_PAUSED);
      SetAttempt(record.assignment(), report.mutable_paused());
      report.mutable_paused()->set_checkpoint_step(record.newest_checkpoint_step());
      report.mutable_paused()->set_reason(end.stop == StopReason::kGuard
                                              ? guard_.reason()
                                              : "lease ended without contact to the coordinator");
      break;
    }
  }
  if (IsTerminal(record.state())) {
    RememberEnd(report);
  }
  Report(std::move(report), now);
  CrashPoint("reported");
  held_[id] = record;
  SaveAttempt(record, now);
  if (IsTerminal(record.state())) {
    CountEnd(record.state());
    state_.RemoveOutput(id);
  }
}

void AgentCore::CountEnd(v1::AttemptState state) {
  for (v1::AttemptCount& count : *device_.mutable_attempts()) {
    if (count.state() == state) {
      count.set_count(count.count() + 1);
      return;
    }
  }
  v1::AttemptCount& count = *device_.add_attempts();
  count.set_state(state);
  count.set_count(1);
}

policy::StopEstimate AgentCore::StopEstimateNow() const {
  if (run_ != nullptr) {
    return run_->StopEstimateNow();
  }
  for (const std::string& id : order_) {
    const v1::HeldAttemptRecord& record = held_.at(id);
    if (!IsTerminal(record.state())) {
      return policy::PredictedStop(record.assignment().spec(), PredictionOf(record.assignment()));
    }
  }
  return {};
}

// A day of the budget never goes back: a clock that starts at 1970 after each power cut and is set
// later must not grant a second budget. A clock that was ahead is the exception: once the clock has
// shown an earlier day for 24 hours, that day counts.
void AgentCore::CountBudget(const Instant& now) {
  const Joules drawn =
      account_.work_energy() - std::exchange(budget_counted_, account_.work_energy());
  if (!limits_.budget) {
    return;
  }
  v1::BudgetDayRecord& record = *device_.mutable_budget_day();
  const int64_t day = policy::DayOf(*limits_.budget, now.civil);
  if (day < record.day()) {
    clock_behind_ = clock_behind_.value_or(now.wall);
  } else {
    clock_behind_.reset();
  }
  if (day > record.day() || (clock_behind_ && now.wall - *clock_behind_ >= absl::Hours(24))) {
    record.set_day(day);
    record.set_spent_energy_joules(0);
    clock_behind_.reset();
  }
  record.set_spent_energy_joules(record.spent_energy_joules() + drawn.value());
}

void AgentCore::CheckGuard(const Instant& now) {
  const std::string before = guard_.reason();
  const std::string warned = guard_.warning();
  CountBudget(now);
  const std::string& reason =
      guard_.Check(limits_, StopEstimateNow(),
                   {.now = now.device,
                    .civil = now.civil,
                    .time_scale = clock_.time_scale(),
                    .budget_spent = Joules(device_.budget_day().spent_energy_joules()),
                    .idle = account_.idle().power()});
  if (reason.empty() != before.empty()) {
    ports_.Note(reason.empty() ? "guard: work may go on" : "guard: " + reason);
    next_heartbeat_ = now.wall;  // at once, because the coordinator plans with the guard's state
  }
  if (!guard_.warning().empty() && guard_.warning() != warned) {
    ports_.Note("guard: warning: " + guard_.warning());
  }
  if (!reason.empty() && run_ != nullptr && !run_->stopping()) {
    run_->Stop(StopReason::kGuard, now);
  }
}

absl::Duration AgentCore::LeaseUsed(Monotonic wall) const {
  return welcomed_ ? absl::ZeroDuration() : lease_used_ + (wall - lease_since_);
}

void AgentCore::CheckLease(const Instant& now) {
  if (run_ == nullptr || run_->stopping() || run_->has_result() ||
      WATTLE_FAULT_POINT("lease of the worker")) {
    return;  // A result that waits for its upload spends no energy.
  }
  const double lease_seconds = run_->record().assignment().lease_seconds();
  if (lease_seconds > 0 && LeaseUsed(now.wall) >= absl::Seconds(lease_seconds)) {
    ports_.Note(absl::StrCat(run_->record().assignment().attempt_id(),
                             ": lease ended without contact to the coordinator"));
    run_->Stop(StopReason::kLease, now);
  }
}

void AgentCore::Step(const Instant& now) {
  civil_ = now.civil;
  if (run_ != nullptr) {
    run_->Step(now);
  }
  CheckGuard(now);
  CheckLease(now);
  if (run_ != nullptr && run_->end() && BooksClosed(now)) {
    HandleEnd(now);
  }
  if (now.wall >= next_flush_) {
    FlushReports(now);
  }
  if (greet_again_ && now.wall >= *greet_again_) {
    greet_again_.reset();
    if (connected_) {
      SendHello();
    }
  }
  if (now.wall >= next_retry_) {
    next_retry_ = now.wall + kRetryPeriod;
    if (!reconciled_) {
      Reconcile(now);
    }
  }
  HandOverNext(now);
  ActivateNext(now);
  if (now.wall >= next_heartbeat_) {
    next_heartbeat_ = now.wall + heartbeat_period_;
    if (welcomed_) {
      v1::WorkerMessage message;
      *message.mutable_heartbeat() = MakeHeartbeat(now);
      ports_.Send(message);
    }
  }
  if (now.wall >= next_ledger_) {
    ReportLedger(now);
  }
  if (now.wall >= next_save_) {
    run_ != nullptr ? SaveRun(now) : SaveDevice(now);
  }
}

Monotonic AgentCore::NextStep(const Instant& now) const {
  Monotonic next = std::min(next_ledger_, next_save_);
  // Without a coordinator and without attempts, nothing happens before the ledger and the save.
  if (welcomed_ || !held_.empty() || !unsaved_.empty() || !reconciled_) {
    next = std::min(next, next_heartbeat_);
  }
  if (run_ != nullptr) {
    if (const auto step = run_->NextStep()) {
      next = std::min(next, *step);
    }
  }
  if (greet_again_) {
    next = std::min(next, *greet_again_);
  }
  if (ended_at_) {
    next = std::min(next, clock_.ToWall(*ended_at_ + kLastReadingWait));
  }
  return std::max(next, now.wall);
}

void AgentCore::Shutdown(const Instant& now) {
  shutting_down_ = true;
  if (run_ != nullptr) {
    run_->Stop(StopReason::kShutdown, now);
    Step(now);
  }
  SaveDevice(now);
}

std::vector<std::string> AgentCore::NeededArtifacts() const {
  std::vector<std::string> ids;
  for (const auto& [id, record] : held_) {
    if (!IsTerminal(record.state())) {
      for (const v1::ResolvedInput& input : record.assignment().inputs()) {
        ids.push_back(input.artifact_id());
      }
    }
  }
  return ids;
}

}  // namespace wattle::agent
