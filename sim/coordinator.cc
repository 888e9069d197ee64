// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/coordinator.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "coordinator/core/core.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/state.h"
#include "coordinator/core/upgrades.h"
#include "policy/guard_reason.h"

namespace wattle::sim {
namespace {

constexpr int64_t kSnapshotEveryEvents = 300;
constexpr int64_t kCheckEveryCommits = 64;
// The share of backups of the real journal during which the power fails, and about the number of
// disk operations of one backup.
constexpr double kBackupsCut = 0.2;
constexpr int kOperationsOfABackup = 200;

}  // namespace

Coordinator::Coordinator(const World& world, Send send, std::function<void()> stopped)
    : world_(world),
      send_(std::move(send)),
      stopped_(std::move(stopped)),
      disk_(world.random),
      time_limits_(world.options, world.invariants) {
  if (world.options.sqlite_journal) {
    mount_.emplace(disk_, world.random);
    ++world_.counts.sqlite_worlds;
  }
  Restart();
}
Coordinator::~Coordinator() = default;

core::Instant Coordinator::Now() const {
  const double now_seconds = world_.loop.now_seconds();
  return {ShownTime(now_seconds, clock_offset_seconds_),
          Monotonic(absl::Seconds(1.0 + now_seconds))};
}

double Coordinator::SilenceSeconds(const std::string& device_id) const {
  const auto heard = heard_seconds_.find(device_id);
  return world_.loop.now_seconds() -
         std::max(listens_seconds_, heard == heard_seconds_.end() ? 0.0 : heard->second);
}

void Coordinator::Stop(ProcessStop how) {
  if (!alive_) {
    return;
  }
  world_.counts.lost_batches += pending_.events().empty() ? 0 : 1;
  if (!pending_.events().empty() && world_.random.Chance(0.5)) {
    log_->AppendUnconfirmed(pending_.events());
  }
  alive_ = false;
  stands_still_ = false;
  waiting_.clear();
  ++life_;
  if (mount_) {
    mount_->Unplug(true);  // A killed process does not close its database.
  }
  log_.reset();
  if (mount_) {
    mount_->Unplug(false);
  }
  if (how == ProcessStop::kPowerCut) {
    disk_.LosePower();
  }
  pending_ = {};
  event_loop_.reset();
  observations_ = {};
  commit_scheduled_ = false;
  plan_under_way_ = false;
  plan_filter_.Forget();
  stopped_();
}

bool Coordinator::OpenLog() {
  if (!mount_) {
    log_ = OpenPlainLog(disk_);
    return true;
  }
  absl::StatusOr<std::unique_ptr<EventLog>> log = OpenSqliteLog(*mount_, disk_);
  if (log.ok()) {
    log_ = *std::move(log);
    return true;
  }
  if (!disk_.full()) {
    world_.invariants.Break(absl::StrCat("the journal cannot be opened: ", log.status().message()));
  }
  return false;
}

void Coordinator::RestartLater() {
  world_.loop.After(world_.random.Between(1.0, world_.options.outage_seconds_max),
                    [this] { Restart(); });
}

void Coordinator::Restart() {
  if (alive_) {
    return;
  }
  if (!OpenLog()) {
    RestartLater();
    return;
  }
  std::vector<v1::Event> unconfirmed;
  const int64_t told = durable_.last_sequence.value();
  absl::StatusOr<core::State> state = log_->Recover([&](const v1::Event& event) {
    world_.invariants.OnReplayed(event);
    if (event.sequence() > told) {
      unconfirmed.push_back(event);
    }
  });
  if (!state.ok() && disk_.full()) {
    log_.reset();
    RestartLater();
    return;
  }
  if (!state.ok()) {
    world_.invariants.Break(absl::StrCat("the journal cannot be read: ", state.status().message()));
    return;
  }
  if (state->last_sequence.value() < told) {
    world_.invariants.Break(absl::StrCat("the journal ends with event ",
                                         state->last_sequence.value(), ", and event ", told,
                                         " was told to be durable"));
    return;
  }
  Took(unconfirmed);
  if (unconfirmed.empty() && core::SnapshotBytes(*state) != core::SnapshotBytes(durable_)) {
    world_.invariants.Break(
        absl::StrCat("after event ", told, " the replayed state differs from the live one"));
  }
  CheckHistory();
  durable_ = *state;
  event_loop_.emplace(*std::move(state));
  alive_ = true;
  ++life_;
  listens_seconds_ = world_.loop.now_seconds();
  time_limits_.OnStart(listens_seconds_);
  observations_.started = Now();
  standstill_.emplace(Now().monotonic, absl::Seconds(BreakSeconds()));
  observations_.unreachable_after =
      std::max(absl::Seconds(10), absl::Seconds(3.0 * world_.options.heartbeat_seconds));
  if (!OpenLineage()) {
    Stop(ProcessStop::kCrash);
    RestartLater();
    return;
  }
  Every(world_.options.tick_seconds, &Coordinator::Tick);
  Every(world_.options.plan_seconds, &Coordinator::Plan);
}

bool Coordinator::OpenLineage() {
  core::OpenJournal command;
  command.lineage_id = absl::StrCat(absl::Hex(world_.random.Next(), absl::kZeroPad16));
  command.opening_id = absl::StrCat(absl::Hex(world_.random.Next(), absl::kZeroPad16));
  command.copy = log_->is_copy();
  command.epoch_min = epoch_min_;
  command.reason = "restored from a backup";
  event_loop::Ready ready = event_loop_->Step({std::move(command), nullptr}, observations_, Now());
  if (!ready.events().empty() && !log_->Append(ready.events()).ok()) {
    return false;
  }
  Took(ready.events());
  durable_ = event_loop_->state();
  return true;
}

bool Coordinator::Backup() {
  if (!alive_ || stands_still_ || !pending_.events().empty()) {
    return false;
  }
  const bool cut = mount_.has_value() && world_.random.Chance(kBackupsCut);
  if (cut) {
    mount_->UnplugSoon(kOperationsOfABackup);
  }
  absl::StatusOr<Disk::Image> image = log_->Backup();
  if (image.ok()) {
    backup_ = {std::move(*image), world_.invariants.Remember(), durable_, history_};
  } else if (!cut && !disk_.full()) {
    world_.invariants.Break(absl::StrCat("backup: ", image.status().message()));
  }
  if (cut) {
    Stop(ProcessStop::kPowerCut);
    RestartLater();
  }
  return image.ok();
}

void Coordinator::CheckHistory() {
  const absl::Status whole = log_ == nullptr ? absl::OkStatus() : log_->CheckHistory(history_);
  if (!whole.ok()) {
    world_.invariants.Break(std::string(whole.message()));
  }
}

bool Coordinator::Restore() {
  if (!backup_) {
    return false;
  }
  Stop(ProcessStop::kPowerCut);
  // Like `wattle-coordinator restore --replace`: opens above the epoch of the replaced journal.
  epoch_min_ = std::max(epoch_min_, core::EpochOf(durable_) + 1);
  disk_.Restore(backup_->disk);
  world_.invariants.GoBackTo(backup_->past);
  durable_ = backup_->durable;
  history_ = backup_->history;
  ++restores_;
  return true;
}

bool Coordinator::StandStill() {
  if (!alive_ || stands_still_) {
    return false;
  }
  stands_still_ = true;
  standstill_seconds_ = world_.loop.now_seconds();
  return true;
}

void Coordinator::Resume() {
  if (!std::exchange(stands_still_, false)) {
    return;
  }
  const double now_seconds = world_.loop.now_seconds();
  time_limits_.OnStandstill(standstill_seconds_, now_seconds);
  if (now_seconds - standstill_seconds_ >= BreakSeconds()) {
    listens_seconds_ = now_seconds;  // A shorter standstill may go unnoticed.
  }
  for (const std::function<void()>& action : std::exchange(waiting_, {})) {
    action();
  }
}

void Coordinator::WhenRunning(std::function<void()> action) {
  if (!stands_still_) {
    action();
    return;
  }
  waiting_.push_back([action = std::move(action), life = life_, this] {
    if (life == life_ && alive_) {
      action();
    }
  });
}

void Coordinator::After(double seconds, std::function<void()> action) {
  world_.loop.After(seconds, [this, action = std::move(action), life = life_] {
    if (life == life_ && alive_) {
      WhenRunning(action);
    }
  });
}

void Coordinator::Every(double interval_seconds, void (Coordinator::*action)()) {
  After(interval_seconds, [this, interval_seconds, action] {
    (this->*action)();
    Every(interval_seconds, action);
  });
}

void Coordinator::Hello(const v1::Hello& hello, std::function<void(bool)> done) {
  if (!core::ValidateHello(hello).ok()) {
    done(false);
    return;
  }
  const DeviceId device(hello.device().device_id());
  const int64_t incarnation = hello.incarnation();
  Post(core::WorkerHello{hello}, [this, hello, device, incarnation,
                                  done = std::move(done)](const event_loop::Answer& answer) {
    if (!answer.status.ok()) {
      done(false);
      return;
    }
    done(true);
    v1::CoordinatorMessage message;
    *message.mutable_welcome() = event_loop::WelcomeFor(
        durable_, device, incarnation,
        {.now = Now().wall, .heartbeat_interval = absl::Seconds(world_.options.heartbeat_seconds)});
    message.mutable_welcome()->set_takes_heartbeat_changes(true);
    send_(device, message);
    // A worker whose last journal opening was another one renumbers its reports and sends a second
    // hello.
    last_report_[device] = core::IsOfThisOpening(durable_, hello)
                               ? hello.last_report_sequence()
                               : std::numeric_limits<int64_t>::max();
    core::DeviceObservation& seen = observations_.devices[device];
    seen.connected = true;
    seen.connected_since = Now().monotonic;
    seen.caught_up = message.welcome().acknowledged_sequence() >= last_report_[device];
    seen.takes_queued = hello.protocol_max() >= core::kProtocolWithQueue;
    seen.results_to_come.clear();
    for (const std::string& attempt : hello.results_to_return()) {
      seen.results_to_come.insert(AttemptId(attempt));
    }
    Heard(device, nullptr);
  });
}

void Coordinator::TookReport(const DeviceId& device, const v1::Report& report) {
  core::DeviceObservation& seen = observations_.devices[device];
  seen.results_to_come.erase(core::EndedAttempt(report));
  if (report.sequence() >= last_report_[device]) {
    seen.caught_up = true;
  }
}

void Coordinator::Disconnected(const DeviceId& device) {
  WhenRunning([this, device] { observations_.devices[device].connected = false; });
}

void Coordinator::Heard(const DeviceId& device, const v1::Heartbeat* heartbeat) {
  if (stands_still_) {
    WhenRunning([this, device,
                 heartbeat = heartbeat == nullptr ? std::nullopt : std::optional(*heartbeat)] {
      Heard(device, heartbeat ? &*heartbeat : nullptr);
    });
    return;
  }
  core::DeviceObservation& seen = observations_.devices[device];
  seen.last_seen = Now();
  heard_seconds_[device.value()] = world_.loop.now_seconds();
  if (heartbeat != nullptr) {
    seen.heartbeat = *heartbeat;
    core::NoteHeartbeat(*heartbeat, Now().monotonic, seen);
    for (const v1::AttemptProgress& progress : heartbeat->progress()) {
      observations_.progress[AttemptId(progress.attempt_id())] = progress;
    }
  }
}

void Coordinator::Post(core::Command command, event_loop::AnswerCallback done) {
  if (!alive_) {
    return;
  }
  if (stands_still_) {
    WhenRunning(
        [this, command = std::move(command), done = std::move(done)] { Post(command, done); });
    return;
  }
  Listen();
  event_loop::Ready ready =
      event_loop_->Step({std::move(command), std::move(done)}, observations_, Now());
  world_.invariants.OnDecided(ready.events());
  pending_.Add(std::move(ready));
  if (!pending_.empty() && !commit_scheduled_) {
    commit_scheduled_ = true;
    After(world_.random.Between(0.001, 0.2), [this] {
      commit_scheduled_ = false;
      Commit();
    });
  }
}

void Coordinator::Commit() {
  event_loop::Ready batch = std::exchange(pending_, {});
  if (!batch.events().empty()) {
    if (!log_->Append(batch.events()).ok()) {
      // The process stops like the real one, and starts again later.
      Stop(ProcessStop::kCrash);
      RestartLater();
      return;
    }
    ++world_.counts.commits;
    Took(batch.events());
    events_since_snapshot_ += static_cast<int64_t>(batch.events().size());
    for (const v1::Event& event : batch.events()) {
      core::Apply(durable_, event, Now().monotonic);
    }
  }
  Release(std::move(batch).Durable(durable_.last_sequence));
  if (events_since_snapshot_ >= kSnapshotEveryEvents && alive_) {
    events_since_snapshot_ = 0;
    WriteSnapshot();
  }
  if (++commits_since_check_ >= kCheckEveryCommits) {
    commits_since_check_ = 0;
    world_.invariants.CheckState(durable_);
    CheckHistory();
  }
}

void Coordinator::Release(const event_loop::Released& released) {
  for (const event_loop::Released::Answered& answered : released.answers) {
    answered.done(answered.answer);
  }
  v1::CoordinatorMessage message;
  for (const core::Acknowledge& acknowledge : released.acknowledgements) {
    message.mutable_acknowledgement()->set_incarnation(acknowledge.incarnation);
    message.mutable_acknowledgement()->set_sequence(acknowledge.sequence);
    send_(acknowledge.device, message);
  }
  for (const DeviceId& device : released.desired) {
    *message.mutable_desired() = core::DesiredFor(durable_, device);
    observations_.devices[device].heartbeat_interval =
        core::PromisedInterval(message.desired(), absl::Seconds(world_.options.heartbeat_seconds));
    send_(device, message);
  }
  if (released.queue_changed && world_.options.plans_at_once) {
    Plan();
  }
}

void Coordinator::Listen() {
  standstill_->Note(Now().monotonic);
  observations_.listening_since = standstill_->since();
}

void Coordinator::Tick() {
  Listen();
  time_limits_.Check(durable_, observations_, world_.loop.now_seconds());
  const core::Retention retention{.age_max = absl::Seconds(world_.options.retention_seconds)};
  if (world_.options.retention_seconds > 0.0 &&
      core::AnythingToArchive(durable_, observations_.started, retention, Now())) {
    Post(core::ArchiveEnded{retention}, nullptr);
  }
  if (event_loop_->state().open_jobs.empty() &&
      core::OpenUpgrade(event_loop_->state()) == nullptr) {
    return;  // Time changes only open jobs, their attempts, and upgrades.
  }
  Post(core::Tick{}, nullptr);
}

void Coordinator::WriteSnapshot() {
  // A full disk may refuse the snapshot. No event is lost, and a later snapshot will be written.
  const absl::Status written = log_->WriteSnapshot(durable_);
  if (written.ok()) {
    ++world_.counts.snapshots;
  } else if (!disk_.full()) {
    world_.invariants.Break(absl::StrCat("snapshot: ", written.message()));
  }
}

bool Coordinator::EvictSomeArtifact() {
  if (!alive_ || stands_still_ || durable_.artifacts.empty()) {
    return false;
  }
  auto chosen = durable_.artifacts.begin();
  for (int i = world_.random.Below(static_cast<int>(durable_.artifacts.size())); i > 0; --i) {
    ++chosen;
  }
  Post(core::EvictArtifact{(*chosen).first, "evicted: the store is full"}, nullptr);
  return true;
}

const v1::Job* Coordinator::FindJobOfKey(const std::string& idempotency_key) const {
  const auto known = durable_.job_by_idempotency_key.find(idempotency_key);
  if (known != durable_.job_by_idempotency_key.end()) {
    return &durable_.jobs.at(known->second).job();
  }
  const auto found = history_.find(idempotency_key);
  return found == history_.end() ? nullptr : &found->second;
}

void Coordinator::Took(const std::vector<v1::Event>& events) {
  world_.invariants.OnDurable(events);
  Count(events);
  for (const v1::Event& event : events) {
    time_limits_.OnEvent(event, world_.loop.now_seconds());
    if (event.has_job_archived()) {
      history_[event.job_archived().idempotency_key()] = event.job_archived().job();
    }
  }
}

void Coordinator::Plan() {
  if (plan_under_way_) {
    return;
  }
  if (!core::AnythingToPlan(durable_, observations_, Now())) {
    plan_filter_.Forget();
    observations_.waiting = nullptr;
    return;
  }
  plan_under_way_ = true;
  // The plan takes some time on another thread and is stale when it arrives.
  After(world_.random.Between(0.01, 1.5), [this] {
    Listen();
    auto plan = std::make_shared<core::PlanComputed>(Compute());
    After(world_.random.Between(0.01, 1.5), [this, plan] {
      plan_under_way_ = false;
      observations_.waiting =
          std::make_shared<std::map<JobId, core::WaitingJob>>(core::WaitingJobsOf(durable_, *plan));
      if (plan_filter_.WorthPosting(*plan)) {
        Post(std::move(*plan), nullptr);
      }
    });
  });
}

core::PlanComputed Coordinator::Compute() {
  const Planning& planning = world_.planning;
  const scheduler::Snapshot snapshot =
      core::MakeSnapshot(durable_, observations_, {planning.estimate_memory}, Now());
  if (planning.compute) {
    return planning.compute(snapshot);
  }
  core::PlanComputed plan = core::ComputePlan(snapshot);
  if (const auto broken = plan_judge_.Judge(snapshot, plan); broken.has_value()) {
    world_.invariants.Break(absl::StrCat("a plan breaks a rule: ", *broken));
  }
  return plan;
}

void Coordinator::CountRun(const v1::AttemptStateChanged& event) {
  const v1::Attempt* const attempt = core::FindAttempt(durable_, AttemptId(event.attempt_id()));
  const bool rests = attempt != nullptr && attempt->prediction().rest_seconds() > 0;
  if (event.state() == v1::ATTEMPT_STATE_PAUSED) {
    const bool is_rest = rests && policy::IsAtReserve(event.reason());
    ++(is_rest ? world_.counts.rests : world_.counts.guard_stops);
  }
  world_.counts.whole_runs += event.state() == v1::ATTEMPT_STATE_FINISHED && !rests ? 1 : 0;
}

void Coordinator::Count(const std::vector<v1::Event>& events) {
  Counts& counts = world_.counts;
  for (const v1::Event& event : events) {
    ++counts.events;
    if (event.has_attempt_adopted()) {
      ++counts.adopted;
    } else if (event.has_attempt_released()) {
      ++counts.moved;
    } else if (event.has_job_archived()) {
      ++counts.archived;
    } else if (event.has_restore_finding()) {
      counts.returned +=
          absl::StrContains(event.restore_finding().text(), "was taken in again") ? 1 : 0;
    } else if (event.has_artifact_removed()) {
      ++counts.evicted;
    } else if (event.has_report_accepted()) {
      counts.late_receipts += absl::StartsWith(event.report_accepted().note(), "late:") ? 1 : 0;
    } else if (event.has_attempt_state_changed()) {
      const std::string& reason = event.attempt_state_changed().reason();
      counts.expired_leases += absl::StartsWith(reason, "lease of") ? 1 : 0;
      counts.resumed += absl::StartsWith(reason, "resumed at") ? 1 : 0;
      CountRun(event.attempt_state_changed());
    } else if (event.has_job_state_changed()) {
      const v1::JobState state = event.job_state_changed().state();
      counts.succeeded_jobs += state == v1::JOB_STATE_SUCCEEDED ? 1 : 0;
      counts.failed_jobs += state == v1::JOB_STATE_FAILED ? 1 : 0;
      counts.past_deadline +=
          state == v1::JOB_STATE_FAILED &&
                  absl::StrContains(event.job_state_changed().reason(), "its deadline of")
              ? 1
              : 0;
      counts.cancelled_jobs += state == v1::JOB_STATE_CANCELLED ? 1 : 0;
    }
  }
}

}  // namespace wattle::sim
