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
#include "spdlog/spdlog.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"

namespace wattle::runtime {
namespace {

// Decided but not yet durable; the core thread waits beyond it.
constexpr size_t kCommitQueueCapacity = 16384;

void EndProcess(const absl::Status& status) {
  spdlog::critical(
      "journal commit: {}; the coordinator ends here and loses nothing: remove the cause and start "
      "it again",
      std::string(status.message()));
  spdlog::shutdown();
  std::_Exit(1);
}

std::string RandomHex() {
  std::random_device random;
  return absl::StrFormat("%08x%08x", random(), random());
}

}  // namespace

absl::StatusOr<core::State> Replay(store::Journal& journal) {
  WATTLE_ASSIGN_OR_RETURN(const std::optional<store::StoredSnapshot> snapshot,
                          journal.LatestSnapshot());
  return shell::Recover({.snapshot_bytes = snapshot.has_value() ? snapshot->bytes : "",
                         .replay = [&journal](int64_t after_sequence, const auto& take) {
                           return journal.Replay(after_sequence, take);
                         }});
}

// The first event of a journal names it; a copy goes on under the next epoch.
absl::Status OpenLineage(store::Journal& journal, const Clock& clock, int64_t epoch_min,
                         const std::string& reason, bool as_copy, core::State& state) {
  core::OpenJournal command;
  command.lineage_id = RandomHex();
  command.opening_id = RandomHex();
  command.copy = as_copy || journal.is_copy();
  command.epoch_min = epoch_min;
  command.reason = reason;
  const core::Instant now{clock.Now(), clock.Boottime()};
  const core::Decision opened = core::Decide(state, command, {}, now);
  WATTLE_RETURN_IF_ERROR(journal.Append(opened.events));
  for (const v1::Event& event : opened.events) {
    core::Apply(state, event, now.monotonic);
    if (event.journal_opened().epoch() > 0) {
      spdlog::info("journal {} goes on under epoch {}: {}", event.journal_opened().lineage_id(),
                   event.journal_opened().epoch(), event.journal_opened().reason());
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
  WATTLE_RETURN_IF_ERROR(OpenLineage(*journal, *options.clock, options.epoch_min,
                                     "started on a copy of the journal", /*as_copy=*/false, state));
  core::State live = state;
  auto runtime = std::unique_ptr<Runtime>(
      new Runtime(std::move(options), std::move(journal), std::move(state), links));
  Runtime* self = runtime.get();
  self->threads_.emplace_back(
      [self, live = std::move(live)]() mutable { self->RunCore(std::move(live)); });
  self->threads_.emplace_back([self] { self->RunCommit(); });
  self->threads_.emplace_back([self] { self->RunPlanner(); });
  self->threads_.emplace_back([self] { self->RunTimer(); });
  return runtime;
}

Runtime::Runtime(RuntimeOptions options, std::unique_ptr<store::Journal> journal, core::State state,
                 WorkerLinks* links)
    : options_(std::move(options)),
      started_{options_.clock->Now(), options_.clock->Boottime()},
      journal_(std::move(journal)),
      links_(links),
      view_(std::move(state)),
      board_(started_,
             {options_.unreachable_after, options_.impossible_grace, options_.hold_impossible}),
      commands_(options_.command_queue_capacity),
      commits_(kCommitQueueCapacity) {}

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
    stopping_ = true;
  }
  commands_.Close();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

absl::Status Runtime::Post(core::Command command, AnswerCallback done) {
  shell::Request pending{std::move(command), std::move(done)};
  if (!commands_.TryPush(pending)) {
    counters_.CountRefusedCommand();
    return absl::UnavailableError("the coordinator is busy or stopping; try again in a moment");
  }
  return absl::OkStatus();
}

Answer Runtime::PostAndWait(core::Command command, absl::Duration timeout) {
  struct Shared {
    absl::Notification notification;
    Answer answer;
  };
  const auto shared = std::make_shared<Shared>();
  const absl::Status posted = Post(std::move(command), [shared](const Answer& answer) {
    shared->answer = answer;
    shared->notification.Notify();
  });
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
  shell::Shell shell(std::move(state));
  ObservationBoard::Reader reader = board_.MakeReader();
  std::vector<shell::Request> batch;
  while (commands_.PopAll(batch)) {
    counters_.CountCommands(batch.size());
    for (shell::Request& request : batch) {
      if (shell::WantsFreshObservations(request.command)) {
        board_.Refresh(reader);
      }
      shell::Ready ready = shell.Step(std::move(request), reader.observations, Now());
      if (!ready.empty()) {
        commits_.Push(std::move(ready));
      }
    }
  }
  commits_.Close();
}

void Runtime::RunCommit() {
  std::vector<shell::Ready> batch;
  while (commits_.PopAll(batch)) {
    shell::Ready all;
    for (shell::Ready& ready : batch) {
      all.Add(std::move(ready));
    }
    if (!Commit(std::move(all))) {
      return;
    }
    WriteSnapshotIfDue();
  }
}

// Everything that waits is one transaction. False after a failure.
bool Runtime::Commit(shell::Ready ready) {
  if (!ready.events().empty()) {
    const Monotonic start = options_.clock->Boottime();
    const absl::Status appended = journal_->Append(ready.events());
    if (!appended.ok()) {
      options_.on_commit_failure(appended);
      commits_.Close();
      commands_.Close();
      return false;
    }
    counters_.CountCommit(options_.clock->Boottime() - start, ready.events());
    events_since_snapshot_ += static_cast<int64_t>(ready.events().size());
    view_.Apply(ready.events(), options_.clock->Boottime());
  }
  const shell::Released released =
      std::move(ready).Durable(SequenceNumber(journal_->last_sequence()));
  // Answers before effects: a hello's welcome goes out before its desired set.
  for (const shell::Released::Answered& answered : released.answers) {
    answered.done(answered.answer);
  }
  CarryOut(released);
  return true;
}

void Runtime::CarryOut(const shell::Released& released) {
  if (links_ != nullptr) {
    for (const core::Acknowledge& acknowledge : released.acknowledgements) {
      v1::ReportAcknowledgement ack;
      ack.set_incarnation(acknowledge.incarnation);
      ack.set_sequence(acknowledge.sequence);
      links_->SendAcknowledgement(acknowledge.device, std::move(ack));
    }
    for (const DeviceId& device : released.desired) {
      links_->SendDesired(device, view_.Read([&device](const core::State& state) {
        return core::DesiredFor(state, device);
      }));
    }
  }
  if (released.queue_changed) {
    WakePlanner();
  }
  for (const JobId& job : released.jobs) {
    watchers_.Notify(job);
  }
}

void Runtime::WriteSnapshotIfDue() {
  if (events_since_snapshot_ < options_.snapshot_every_events) {
    return;
  }
  events_since_snapshot_ = 0;
  const store::StoredSnapshot snapshot = view_.Read([](const core::State& state) {
    return store::StoredSnapshot{state.last_sequence.value(), core::SnapshotBytes(state)};
  });
  const absl::Status written = journal_->WriteSnapshot(snapshot);
  if (!written.ok()) {
    // The events are all there: replay only takes longer, and the next snapshot comes.
    spdlog::warn("journal snapshot: {}", std::string(written.message()));
  }
}

void Runtime::WakePlanner() {
  absl::MutexLock lock(&mutex_);
  plan_wanted_ = true;
}

void Runtime::RunPlanner() {
  ObservationBoard::Reader reader = board_.MakeReader();
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      const auto awake = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return plan_wanted_ || stopping_;
      };
      mutex_.AwaitWithTimeout(absl::Condition(&awake), options_.plan_interval);
      if (stopping_) {
        return;
      }
      plan_wanted_ = false;
    }
    PlanOnce(reader);
  }
}

// False where there was nothing to say.
bool Runtime::PlanOnce(ObservationBoard::Reader& reader) {
  board_.Refresh(reader);
  if (!view_.Read([&](const core::State& state) {
        return core::AnythingToPlan(state, reader.observations, Now());
      })) {
    plan_filter_.Forget();
    board_.SetWhyNotNow(nullptr);
    return false;
  }
  const Monotonic start = options_.clock->Boottime();
  scheduler::ProfileTable profiles;
  scheduler::Snapshot snapshot = view_.Read([&](const core::State& state) {
    profiles = core::ProfilesOf(state);
    return core::MakeSnapshot(state, reader.observations, options_.planning, Now());
  });
  core::PlanComputed plan = core::ComputePlan(std::move(snapshot), profiles);
  counters_.CountPlan(options_.clock->Boottime() - start);
  board_.SetWhyNotNow(view_.Read([&](const core::State& state) {
    auto why = std::make_shared<std::map<JobId, std::string>>();
    for (const scheduler::QueuePlacement& job : plan.jobs) {
      if (job.placement.device_id().empty() || job.placement.wait()) {
        (*why)[job.job] = core::WhyNotNow(state, job);
      }
    }
    return std::shared_ptr<const std::map<JobId, std::string>>(std::move(why));
  }));
  if (!plan_filter_.WorthPosting(plan)) {
    return false;
  }
  // Lost when the queue is full: the next interval plans again.
  if (!Post(std::move(plan), nullptr).ok()) {
    plan_filter_.Forget();
  }
  return true;
}

void Runtime::RunTimer() {
  Monotonic next_tick;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.progress_interval);
      if (stopping_) {
        return;
      }
    }
    watchers_.NotifyAll();
    const Monotonic now = options_.clock->Boottime();
    if (now >= next_tick) {
      next_tick = now + options_.tick_interval;
      // Lost when the queue is full: the next one comes.
      (void)Post(core::Tick{}, nullptr);
    }
  }
}

}  // namespace wattle::runtime
