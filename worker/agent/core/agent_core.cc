// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/agent_core.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/fault_point.h"
#include "worker/agent/core/attempt_facts_internal.h"
#include "worker/agent/core/attempt_texts.h"
#include "worker/agent/core/lower_mode.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kRetryPeriod = absl::Seconds(5);
constexpr absl::Duration kPowerModeRetry = absl::Minutes(1);

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

telemetry::HarvestOfHours RecentOf(const v1::WorkerRecord& record) {
  telemetry::HarvestOfHours hours;
  hours.last_hour = record.recent_harvest().last_hour();
  for (const float watts : record.recent_harvest().power_watts()) {
    hours.power.push_back(watts < 0.0F ? std::nullopt : std::optional(Watts(watts)));
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
      time_(*dependencies.time),
      settings_(std::move(settings)),
      device_(dependencies.kept),
      own_power_mode_(settings_.info.power_mode()),
      process_id_(absl::StrCat(absl::Hex(state_.disk().Random(), absl::kZeroPad16))),
      hand_over_backoff_(kUploadRetryMin, state_.disk().Random()),
      return_backoff_(kUploadRetryMin, state_.disk().Random()),
      prefetch_backoff_(kUploadRetryMin, state_.disk().Random()),
      link_(device_.link()),
      storage_(settings_.storage_probe_period),
      upgrader_(&state_.disk(), &ports_,
                {.version = settings_.info.worker_version(),
                 .takes_releases = settings_.takes_releases,
                 .device_id = state_.device_id(),
                 .boot_id = settings_.boot_id}),
      guard_(settings_.guard),
      forecast_(HarvestOf(device_), RecentOf(device_)),
      heartbeat_period_(settings_.heartbeat_period) {}

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
  std::string unreadable;  // of the state; "": all was read
  const auto take = [&](auto stored) {
    if (!stored.problem.empty()) {
      ports_.Note(stored.problem);
    }
    if (stored.state == RecordState::kUnreadable) {
      unreadable = stored.problem;
    }
    return std::move(stored.record);
  };
  desired_ = take(state_.ReadDesired());
  limits_ = LimitsOf(desired_);
  if (!unreadable.empty()) {
    limits_.unreadable = kLimitsUnreadable;
  }
  lineage_ = take(state_.ReadLineage());
  ended_ = take(state_.ReadEnded());
  held_ = state_.ReadAttempts();
  TakeMeasured();
  for (const v1::Report& report : spool_.pending()) {
    // The process spooled the report of the end, then died before it wrote the record.
    const auto ended = held_.find(EndedAttempt(report));
    if (ended != held_.end() && !IsTerminal(ended->second.state())) {
      TakeEnd(report, ended->second);
    }
  }
  ResumeWaitingResults();
  for (const auto& [id, record] : held_) {
    order_.push_back(id);
  }
  std::sort(order_.begin(), order_.end(), [this](const std::string& a, const std::string& b) {
    return held_.at(a).assignment().fencing_token() < held_.at(b).assignment().fencing_token();
  });
  if (!spool_.repair().empty()) {
    ports_.Note(spool_.repair());
    ReportHeldAgain(now);
  }
  if (device_.has_clock() && device_.clock().boot_id().empty()) {
    undated_energy_ = Joules(device_.budget_day().spent_energy_joules());
  }
  ResumeChargeCounter(device_.charge(), now);
  ResumeHeat(now);
  if (device_.boot_id() != settings_.boot_id) {
    DateReportsOfEarlierBoots();
    device_.set_boot_id(settings_.boot_id);
    device_.set_energy_joules_at_boot(account_.total().value());
  }
  cadence_ = CheckpointCadence(device_.checkpoint_cadence());
  lease_used_ = absl::Seconds(device_.lease_used_seconds());
  lease_since_ = now.wall;
  civil_ = now.civil.known() ? now.civil.time : absl::UnixEpoch();
  undated_reports_ = true;  // an earlier process may have left some
  next_heartbeat_ = now.wall;
  // An earlier process may have reported a receipt, but not yet the ledger that contains its
  // joules.
  next_ledger_ = account_.total() > Joules(0) ? now.wall : now.wall + settings_.ledger_period;
  next_save_ = now.wall + kSavePeriod;
  next_retry_ = now.wall;
  ResumeHold(now);
  TellLostEnds(now);
  StartUpgrader(unreadable, now);
}

void AgentCore::OnConnected(const Instant& now, const std::string& coordinator) {
  coordinator_ = coordinator;
  connected_ = true;
  welcomed_ = false;
  refuses_stream_ = false;
  greet_again_.reset();
  SendHello(now);
}

void AgentCore::OnDisconnected(const Instant& now) {
  if (welcomed_) {
    lease_used_ = absl::ZeroDuration();
    lease_since_ = now.wall;
  }
  connected_ = false;
  welcomed_ = false;
}

void AgentCore::OnMessage(const v1::CoordinatorMessage& message, const Instant& came) {
  Instant now = came;
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kWelcome: {
      greeting_ = false;
      if (message.welcome().heartbeat_seconds() > 0) {
        heartbeat_period_ = absl::Seconds(message.welcome().heartbeat_seconds());
      }
      takes_heartbeat_changes_ = message.welcome().takes_heartbeat_changes();
      told_heartbeat_.reset();
      refuses_stream_ = !EnterJournal(message.welcome(), now);
      if (refuses_stream_) {
        break;
      }
      welcomed_ = true;
      RememberAddress();
      now = TakeTime(message.welcome(), now);
      // If this write is lost, a restart only sends the reports once more.
      (void)spool_.Acknowledge(message.welcome().acknowledged_sequence());
      SendPending();
      next_heartbeat_ = now.wall;
      break;
    }
    case v1::CoordinatorMessage::kDesired: {
      if (!takes_desired()) {
        break;
      }
      desired_ = message.desired();
      limits_ = LimitsOf(desired_);
      SaveDesired(now);
      next_heartbeat_ = std::min(next_heartbeat_, now.wall + HeartbeatInterval());
      Reconcile(now);
      upgrader_.OnDesired(desired_);
      break;
    }
    case v1::CoordinatorMessage::kAcknowledgement:
      if (!refuses_stream_ && message.acknowledgement().incarnation() == spool_.incarnation()) {
        (void)spool_.Acknowledge(message.acknowledgement().sequence());  // as above
      }
      break;
    case v1::CoordinatorMessage::kClosing:
      if (!refuses_stream_) {
        FollowCoordinator(message.closing().moved_to());
      }
      break;
    case v1::CoordinatorMessage::kMetricsAcknowledgement:  // for the agent, which keeps the samples
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      break;
  }
  Step(now);
}

void AgentCore::SaveDesired(const Instant& now) {
  const absl::Status saved = state_.WriteDesired(desired_);
  desired_unsaved_ = !saved.ok();
  NoteDisk(saved, now);
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
  if (!storage_.problem().empty()) {
    reconciled_ = false;
    return;
  }
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
    if (Runs(id)) {
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
      SetReceipt(record, report.mutable_stopped());
      report.mutable_stopped()->set_checkpoint_step(record.newest_checkpoint_step());
      RememberEnd(report);
      Report(std::move(report), now);
    }
    LetGo(id);
  }
}

// The attempt runs in the power mode of its placement; placed without a mode it runs in the board's
// own. Near a limit it runs in the lowest, unless it measures its mode. If the mode cannot be set,
// the attempt runs nevertheless, and its receipt names the mode that it ran in.
void AgentCore::EnterPowerMode(const v1::Assignment& assignment) {
  const std::string placed = PlacedMode(assignment);
  const std::string mode = strained_ && !assignment.has_profile_point()
                               ? LowestModeBelow(settings_.info, placed)
                               : placed;
  if (!settings_.info.sets_power_modes() || mode == settings_.info.power_mode()) {
    return;
  }
  const absl::Status set =
      mode == own_power_mode_ ? ports_.RestorePowerMode() : ports_.SetPowerMode(mode);
  if (!set.ok()) {
    ports_.Note(absl::StrCat(assignment.attempt_id(), ": power mode ", mode,
                             " is not set: ", std::string(set.message())));
    return;
  }
  settings_.info.set_power_mode(mode);
}

const std::string& AgentCore::PlacedMode(const v1::Assignment& assignment) const {
  return assignment.power_mode().empty() ? own_power_mode_ : assignment.power_mode();
}

// The mode was set for an attempt, and none runs: the board idles in its own mode.
void AgentCore::LeavePowerMode(const Instant& now) {
  if (run_ != nullptr || settings_.info.power_mode() == own_power_mode_ ||
      now.wall < next_mode_try_ || WATTLE_FAULT_POINT("mode after a run")) {
    return;
  }
  if (const absl::Status restored = ports_.RestorePowerMode(); !restored.ok()) {
    next_mode_try_ = now.wall + kPowerModeRetry;
    ports_.Note(absl::StrCat("power mode ", settings_.info.power_mode(),
                             " stays: ", std::string(restored.message())));
    return;
  }
  settings_.info.set_power_mode(own_power_mode_);
}

void AgentCore::ActivateNext(const Instant& now) {
  if (run_ != nullptr || !MayWork()) {
    return;
  }
  const std::string id = NextToStart(now);
  if (id.empty()) {
    return;
  }
  gave_way_ = false;
  v1::HeldAttemptRecord record = held_[id];
  const bool interrupted = record.state() == v1::ATTEMPT_STATE_RUNNING;
  if (interrupted) {
    record.mutable_receipt()->set_restarts(record.receipt().restarts() + 1);
    cadence_.OnCut();
  }
  if (record.started() && !record.stopped_in_order()) {
    record.set_interruptions_in_a_row(record.interruptions_in_a_row() + 1);
  }
  record.clear_stopped_in_order();
  EnterPowerMode(record.assignment());
  AttemptSettings attempt = {.threads = settings_.threads,
                             .device = settings_.runner_device,
                             .info = settings_.info,
                             .watch = settings_.watch,
                             .free_space_reserve_bytes = settings_.free_space_reserve_bytes,
                             .seen_stop = SeenStopOf(id)};
  const AttemptSurroundings surroundings = {
      .state = &state_,
      .ports = &ports_,
      .account = &account_,
      .pace = &pace_,
      .clock = &clock_,
      .cadence = &cadence_,
      .limits = &limits_,
      .link_closed = [this](const Instant& at) { return LinkClosed(at); },
      .above_reserve = [this] { return guard_.above_reserve(); },
      .claim_line = [this] { return ClaimLine(); },
      .is_welcomed = [this] { return welcomed_; }};
  run_ = std::make_unique<AttemptRun>(surroundings, std::move(attempt), std::move(record));
  mode_of_others_ = false;
  if (strained_) {
    FollowMode();
  }
  run_->Begin(HasInputs(held_[id]), now);
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
  run_->AddGap(std::max(lost, absl::ZeroDuration()) / clock_.time_scale());
}

void AgentCore::OnFetched(const FetchResult& result, const Instant& now) {
  link_.OnFetched(result.moved_bytes, result.moved_in);
  if (!prefetching_.empty()) {
    OnPrefetched(result, now);
    TellLineIsFree(now);
  } else if (run_ != nullptr) {
    run_->OnFetched(result, now);
  }
  Step(now);
}

void AgentCore::OnUploaded(const UploadResult& result, const Instant& now) {
  link_.OnUploaded(result.moved_bytes, result.moved_in);
  if (!returning_.empty()) {
    OnResultReturned(result, now);
    TellLineIsFree(now);
  } else if (!handing_over_.empty() || run_ == nullptr) {
    OnCheckpointUploaded(result, now);
    TellLineIsFree(now);
  } else {
    run_->OnUploaded(result, now);
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

void AgentCore::Step(const Instant& now) {
  civil_ = now.civil.known() ? now.civil.time : absl::UnixEpoch();
  link_.Observe(welcomed_, now.wall, now.civil);
  if (undated_reports_ && (now.civil.known() || welcomed_) && now.wall >= next_flush_) {
    DateReports(now);
  }
  if (reports_wait_ && welcomed_) {
    SendPending();
  }
  if (old_charge_ && now.civil.known()) {
    ResumeChargeCounter(*std::exchange(old_charge_, std::nullopt), now);
  }
  if (run_ != nullptr) {
    run_->Step(now);
  }
  CheckGuard(now);
  CheckHold(now);
  CheckLease(now);
  CheckPowerOff(now);
  CheckStorage(now);
  CheckMemory(now);
  MakeWay(now);
  if (run_ != nullptr && run_->end() && BooksClosed(now)) {
    HandleEnd(now);
  }
  if (now.wall >= next_flush_) {
    FlushReports(now);
  }
  if (greet_again_ && now.wall >= *greet_again_) {
    greet_again_.reset();
    if (connected_) {
      SendHello(now);
    }
  }
  if (now.wall >= next_retry_) {
    next_retry_ = now.wall + kRetryPeriod;
    if (desired_unsaved_) {
      SaveDesired(now);
    }
    if (!reconciled_) {
      Reconcile(now);
    }
  }
  CheckTransfer(now);
  StepUpgrade(now);
  HandOverNext(now);
  ActivateNext(now);
  ReturnNextResult(now);
  PrefetchNext(now);
  LeavePowerMode(now);
  if (now.wall >= next_heartbeat_) {
    next_heartbeat_ = now.wall + HeartbeatInterval();
    if (welcomed_) {
      SendHeartbeat(now);
    }
  }
  if (now.wall >= next_ledger_ || (ledger_waits_ && !HasUnacknowledgedLedger())) {
    ReportLedger(now);
  }
  if (now.wall >= next_save_) {
    run_ != nullptr ? SaveRun(now) : SaveDevice(now);
  }
}

Monotonic AgentCore::NextStep(const Instant& now) const {
  Monotonic next = std::min({next_ledger_, next_save_, storage_.NextStep(now.wall)});
  // Without a coordinator and without attempts, nothing happens before the ledger and the save.
  if (welcomed_ || !held_.empty() || !unsaved_.empty() || !reconciled_) {
    next = std::min(next, next_heartbeat_);
  }
  if (!held_.empty()) {
    next = std::min(next, now.wall + heartbeat_period_);
  }
  if (run_ != nullptr) {
    if (const auto step = run_->NextStep()) {
      next = std::min(next, *step);
    }
  }
  if (greet_again_) {
    next = std::min(next, *greet_again_);
  }
  if (const Monotonic step = upgrader_.NextStep(); step > now.wall) {
    next = std::min(next, step);
  }
  if (owner_hold_.active()) {
    next = std::min(next, now.wall + owner_hold_.Left(now));
  }
  if (const auto step = power_off_.NextStep()) {
    next = std::min(next, clock_.ToWall(*step));
  }
  if (ended_at_) {
    next = std::min(next, clock_.ToWall(*ended_at_ + kLastReadingWait));
  }
  return std::max(next, now.wall);
}

std::optional<Monotonic> AgentCore::busy_until() const {
  if (ended_at_) {
    return *ended_at_ + kLastReadingWait;
  }
  return run_ == nullptr ? std::nullopt : run_->busy_until();
}

void AgentCore::Shutdown(const Instant& now) {
  shutting_down_ = true;
  if (run_ != nullptr) {
    run_->Stop(StopReason::kShutdown, now);
    Step(now);
  }
  FinishSwitch(now);
  SaveDevice(now);
}

std::vector<std::string> AgentCore::NeededArtifacts() const {
  std::vector<std::string> ids;
  if (upgrader_.fetching()) {
    ids.push_back(upgrader_.order().artifact_id());
  }
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
