// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/runtime.h"

#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"

#include "base/free_memory.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/log/log.h"
#include "coordinator/runtime/history_age.h"

namespace wattle::runtime {
namespace {

// Outcomes that are decided but not yet durable. The core thread waits at this number.
constexpr size_t kCommitQueueCapacity = 1024;
// Requests that the core thread decides before it hands their outcome to the commit thread, if more
// wait. One version of the state then serves all of them.
constexpr size_t kRequestsOfACommit = 64;
constexpr absl::Duration kCheckpointInterval = absl::Seconds(1);
// Interval at which free memory above this amount, left by thousands of boards that came or went at
// once, is returned to the system.
constexpr absl::Duration kFreeMemoryInterval = absl::Minutes(1);
constexpr size_t kFreeMemoryKept = size_t{32} << 20;
// After this many missed ticks, the process stood still.
constexpr int kTicksOfABreak = 5;

void EndProcess(const absl::Status& status) {
  LogLastLine(absl::StrCat("journal commit: ", status.message(),
                           "; the coordinator ends here and loses nothing: remove the cause and "
                           "start it again"));
  std::_Exit(1);
}

// After an outage boards and timers send commands by the thousand. No person waits for them, so
// commands of people go first.
QueueLine LineOf(const core::Command& command) {
  return std::holds_alternative<core::WorkerHello>(command) ||
                 std::holds_alternative<core::WorkerReport>(command) ||
                 std::holds_alternative<core::Enrol>(command) ||
                 std::holds_alternative<core::RenewIdentity>(command) ||
                 std::holds_alternative<core::Tick>(command) ||
                 std::holds_alternative<core::PlanComputed>(command) ||
                 std::holds_alternative<core::CountRefusals>(command) ||
                 std::holds_alternative<core::ArchiveEnded>(command)
             ? QueueLine::kBehind
             : QueueLine::kAhead;
}

std::string RandomHex() {
  std::random_device random;
  return absl::StrFormat("%08x%08x", random(), random());
}

}  // namespace

absl::StatusOr<core::State> Replay(store::Journal& journal) {
  event_loop::Recorded recorded;
  WATTLE_ASSIGN_OR_RETURN(recorded.snapshots, journal.Snapshots());
  recorded.read_snapshot = [&journal](int64_t sequence, const event_loop::TakeRow& take) {
    return journal.ReadSnapshot(sequence, take);
  };
  recorded.replay = [&journal](int64_t after_sequence, const auto& take) {
    return journal.Replay(after_sequence, take);
  };
  recorded.passed_over = [](int64_t sequence, const absl::Status& problem) {
    LogWarning(
        absl::StrCat("journal: snapshot ", sequence, " is passed over: ", problem.message()));
  };
  return event_loop::Recover(recorded);
}

absl::Status OpenLineage(store::Journal& journal, const Clock& clock, core::OpenJournal command,
                         core::State& state) {
  command.lineage_id = RandomHex();
  command.opening_id = RandomHex();
  command.copy = command.copy || journal.is_copy();
  const core::Instant now{clock.Now(), clock.Boottime()};
  const core::Decision opened = core::Decide(state, command, {}, now);
  WATTLE_RETURN_IF_ERROR(journal.Append(opened.events));
  for (const v1::Event& event : opened.events) {
    core::Apply(state, event, now.monotonic);
    if (event.journal_opened().epoch() > 0) {
      LogInfo(absl::StrCat("journal ", event.journal_opened().lineage_id(), " goes on under epoch ",
                           event.journal_opened().epoch(), ": ", event.journal_opened().reason()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Start(RuntimeOptions options,
                                                        WorkerLinks* links) {
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<store::Journal> journal,
                          store::Journal::Open(options.journal_path));
  WATTLE_ASSIGN_OR_RETURN(core::State state, Replay(*journal));
  if (!options.on_commit_failure) {
    options.on_commit_failure = EndProcess;
  }
  core::OpenJournal opening;
  opening.epoch_min = options.epoch_min;
  opening.reason = "started on a copy of the journal";
  WATTLE_RETURN_IF_ERROR(OpenLineage(*journal, *options.clock, std::move(opening), state));
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<store::History> history,
                          store::History::Open(options.journal_path));
  core::State live = state;
  auto runtime = std::unique_ptr<Runtime>(new Runtime(std::move(options), std::move(journal),
                                                      std::move(history), std::move(state), links));
  Runtime* self = runtime.get();
  self->threads_.emplace_back(
      [self, live = std::move(live)]() mutable { self->RunCore(std::move(live)); });
  self->threads_.emplace_back([self] { self->RunCommit(); });
  self->threads_.emplace_back([self] { self->RunOutbound(); });
  self->threads_.emplace_back([self] { self->RunKeeper(); });
  self->threads_.emplace_back([self] { self->RunPlanner(); });
  self->threads_.emplace_back(
      [self] { self->improver_.Run([self] { self->planner_wake_.Wake(); }); });
  self->threads_.emplace_back([self] { self->RunTimer(); });
  self->threads_.emplace_back([self] { self->watchers_.Run(self->options_.progress_interval); });
  return runtime;
}

Runtime::Runtime(RuntimeOptions options, std::unique_ptr<store::Journal> journal,
                 std::unique_ptr<store::History> history, core::State state, WorkerLinks* links)
    : options_(std::move(options)),
      started_{options_.clock->Now(), options_.clock->Boottime()},
      journal_(std::move(journal)),
      history_(std::move(history)),
      links_(links),
      snapshot_due_at_(state.last_sequence.value() + options_.snapshot_every_events),
      view_(std::move(state)),
      heartbeats_(started_, {.unreachable_after = options_.unreachable_after,
                             .impossible_grace = options_.impossible_grace,
                             .hold_impossible = options_.hold_impossible,
                             .check_model = options_.check_model,
                             .break_min = kTicksOfABreak * options_.tick_interval}),
      commands_(options_.command_queue_capacity),
      commits_(kCommitQueueCapacity),
      released_(kCommitQueueCapacity) {}

Runtime::~Runtime() {
  Stop();
}

void Runtime::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) {
      return;
    }
    stopped_ = true;
  }
  commands_.Close();
  keeper_wake_.Stop();
  planner_wake_.Stop();
  improver_.Stop();
  timer_wake_.Stop();
  watchers_.Stop();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

absl::Status Runtime::Post(core::Command command, AnswerCallback done, v1::EventCaller caller) {
  event_loop::Request pending{std::move(command), std::move(done), std::move(caller)};
  if (!commands_.TryPush(LineOf(pending.command), pending)) {
    counters_.CountRefusedCommand();
    return absl::UnavailableError("the coordinator is busy or stopping; try again in a moment");
  }
  return absl::OkStatus();
}

Answer Runtime::PostAndWait(core::Command command, absl::Duration timeout, v1::EventCaller caller) {
  struct Shared {
    absl::Notification notification;
    Answer answer;
  };
  const auto shared = std::make_shared<Shared>();
  const absl::Status posted = Post(
      std::move(command),
      [shared](const Answer& answer) {
        shared->answer = answer;
        shared->notification.Notify();
      },
      std::move(caller));
  if (!posted.ok()) {
    return {posted, "", false};
  }
  if (!shared->notification.WaitForNotificationWithTimeout(timeout)) {
    return {absl::DeadlineExceededError("the coordinator did not answer in time; the command may "
                                        "still take effect, look before repeating it"),
            "", false};
  }
  return shared->answer;
}

void Runtime::RunCore(core::State state) {
  event_loop::EventLoop loop(std::move(state));
  LatestHeartbeats::Reader reader = heartbeats_.MakeReader();
  std::vector<event_loop::Request> requests;
  while (commands_.PopSome(requests, kRequestsOfACommit)) {
    counters_.CountCommands(requests.size());
    event_loop::Ready ready;
    for (event_loop::Request& request : requests) {
      const core::Instant now = Now();  // Taken before a possible standstill of the process here.
      if (event_loop::WantsFreshObservations(request.command)) {
        heartbeats_.Listen(now.monotonic);
        heartbeats_.Refresh(reader);
      }
      ready.Add(loop.Step(std::move(request), reader.observations, now));
    }
    if (!ready.empty()) {
      commits_.Push({std::move(ready), loop.state()});
    }
  }
  commits_.Close();
}

void Runtime::RunCommit() {
  std::vector<Decided> batch;
  while (commits_.PopAll(batch)) {
    event_loop::Ready all;
    for (Decided& decided : batch) {
      all.Add(std::move(decided.ready));
    }
    core::State state = std::move(batch.back().state);
    batch.clear();
    if (!Commit(std::move(all), std::move(state))) {
      break;
    }
  }
  released_.Close();
}

// Commits all waiting outcomes in one transaction. Returns false on failure.
bool Runtime::Commit(event_loop::Ready ready, core::State state) {
  if (!ready.events().empty()) {
    const Monotonic start = options_.clock->Boottime();
    const absl::Status appended = journal_->Append(ready.events());
    if (!appended.ok()) {
      options_.on_commit_failure(appended);
      commits_.Close();
      commands_.Close();
      return false;
    }
    counters_.CountCommit(options_.clock->Boottime() - start, ready.events(), *view_.Version());
    view_.Publish(std::move(state));
    if (journal_->last_sequence() >= snapshot_due_at_) {
      keeper_wake_.Wake();
    }
  }
  released_.Push(std::move(ready).Durable(SequenceNumber(journal_->last_sequence())));
  return true;
}

void Runtime::RunOutbound() {
  std::vector<event_loop::Released> batch;
  while (released_.PopAll(batch)) {
    // Answers go out before effects, so that a hello's welcome precedes its desired set.
    event_loop::Released all;
    for (event_loop::Released& released : batch) {
      for (const event_loop::Released::Answered& answered : released.answers) {
        answered.done(answered.answer);
      }
      all.acknowledgements.insert(all.acknowledgements.end(), released.acknowledgements.begin(),
                                  released.acknowledgements.end());
      all.desired.merge(released.desired);
      all.jobs.merge(released.jobs);
      all.queue_changed = all.queue_changed || released.queue_changed;
    }
    batch.clear();
    CarryOut(all);
  }
}

void Runtime::CarryOut(const event_loop::Released& released) {
  if (links_ != nullptr) {
    for (const core::Acknowledge& acknowledge : released.acknowledgements) {
      v1::ReportAcknowledgement ack;
      ack.set_incarnation(acknowledge.incarnation);
      ack.set_sequence(acknowledge.sequence);
      links_->SendAcknowledgement(acknowledge.device, std::move(ack));
    }
    const std::shared_ptr<const core::State> state = view_.Version();
    for (const DeviceId& device : released.desired) {
      links_->SendDesired(device, core::DesiredFor(*state, device));
    }
  }
  if (released.queue_changed) {
    planner_wake_.Wake();
  }
  for (const JobId& job : released.jobs) {
    watchers_.Notify(job);
  }
}

void Runtime::RunKeeper() {
  absl::Status told;  // A full disk fails every time, so the log gets one line about it.
  HistoryAge history_age(options_.history_age_max, started_);
  Monotonic next_return = options_.clock->Boottime() + kFreeMemoryInterval;
  while (keeper_wake_.WaitFor(kCheckpointInterval) != WakeSignal::Reason::kStopped) {
    if (const auto before = history_age.RemovableBefore(Now())) {
      RemoveHistory(*before);
    }
    if (journal_->last_sequence() >= snapshot_due_at_) {
      WriteSnapshot();
    }
    const absl::Status copied = journal_->Checkpoint();
    if (!copied.ok() && copied != told) {
      // Without this checkpoint, commits copy the log themselves.
      LogWarning(copied.message());
    }
    told = copied;
    if (const Monotonic now = options_.clock->Boottime(); now >= next_return) {
      next_return = now + kFreeMemoryInterval;
      ReturnFreeMemory(kFreeMemoryKept);
    }
  }
}

void Runtime::RemoveHistory(absl::Time before) {
  const absl::Status removed =
      journal_->RemoveHistory(before, [this] { return keeper_wake_.stopped(); });
  if (!removed.ok()) {
    LogWarning(absl::StrCat("journal history: ", removed.message()));
  }
}

void Runtime::WriteSnapshot() {
  const std::shared_ptr<const core::State> state = view_.Version();
  store::SnapshotToWrite snapshot;
  snapshot.sequence = state->last_sequence.value();
  snapshot_due_at_ = snapshot.sequence + options_.snapshot_every_events;
  snapshot.rows = [this, &state](const store::TakeRow& take) {
    return core::GiveSnapshotRows(*state, [&](absl::string_view row) {
      return keeper_wake_.stopped() ? absl::CancelledError("the coordinator stops") : take(row);
    });
  };
  snapshot.check = [&state](const store::GiveRows& stored) {
    return event_loop::CheckSnapshot(*state, stored);
  };
  const absl::Status written = journal_->WriteSnapshot(snapshot);
  if (written.ok()) {
    counters_.CountSnapshot();
  } else if (!absl::IsCancelled(written)) {
    // No event is lost: the next start takes longer, and a later snapshot will be written.
    LogWarning(absl::StrCat("journal snapshot: ", written.message()));
  }
}

// Changes come in groups, so the plan for one is soon replaced. Only periodic plans are therefore
// improved by the search.
void Runtime::RunPlanner() {
  LatestHeartbeats::Reader reader = heartbeats_.MakeReader();
  WakeSignal::Reason why = WakeSignal::Reason::kWoken;
  do {
    PlanOnce(reader, why == WakeSignal::Reason::kTimeout);
    why = planner_wake_.WaitFor(options_.plan_interval);
  } while (why != WakeSignal::Reason::kStopped);
}

void Runtime::PlanOnce(LatestHeartbeats::Reader& reader, bool may_improve) {
  const core::Instant now = Now();
  heartbeats_.Listen(now.monotonic);
  heartbeats_.Refresh(reader);
  const std::shared_ptr<const core::State> state = view_.Version();
  if (!core::AnythingToPlan(*state, reader.observations, now)) {
    plan_filter_.Forget();
    heartbeats_.SetWaiting(nullptr);
    return;
  }
  if (std::optional<core::ImprovedPlan> answer = improver_.TakeAnswer()) {
    standing_plan_.Take(*std::move(answer));
  }
  const Monotonic start = options_.clock->Boottime();
  scheduler::Snapshot snapshot =
      core::MakeSnapshot(*state, reader.observations, options_.planning, now);
  core::PlanComputed plan = standing_plan_.Plan(snapshot);
  counters_.CountPlan(options_.clock->Boottime() - start, plan.proposals_dropped);
  heartbeats_.SetWaiting(
      std::make_shared<std::map<JobId, core::WaitingJob>>(core::WaitingJobsOf(*state, plan)));
  if (may_improve) {
    if (auto search = standing_plan_.NextSearch(std::move(snapshot), plan)) {
      improver_.Offer(state, *std::move(search));
    }
  }
  // A full queue drops the plan; the next interval plans again.
  if (plan_filter_.WorthPosting(plan) && !Post(std::move(plan), nullptr).ok()) {
    plan_filter_.Forget();
  }
}

void Runtime::RunTimer() {
  AnswerCallback gone_round;
  if (options_.on_alive) {
    gone_round = [this](const Answer&) { options_.on_alive(); };
  }
  while (timer_wake_.WaitFor(options_.tick_interval) != WakeSignal::Reason::kStopped) {
    heartbeats_.Listen(options_.clock->Boottime());
    // A full queue drops the tick; the next tick comes.
    (void)Post(core::Tick{}, gone_round);
    if (core::AnythingToArchive(*view_.Version(), started_, options_.retention, Now())) {
      (void)Post(core::ArchiveEnded{options_.retention}, nullptr);
    }
  }
}

}  // namespace wattle::runtime
