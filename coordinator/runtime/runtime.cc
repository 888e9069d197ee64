// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/runtime.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "spdlog/spdlog.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"

namespace wattle::runtime {
namespace {

// Decided but not yet durable; the core thread waits beyond it.
constexpr size_t kCommitQueueCapacity = 16384;

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

void EndProcess(const absl::Status& status) {
  spdlog::critical(
      "journal commit: {}; the coordinator ends here and loses nothing: remove the cause and start "
      "it again",
      std::string(status.message()));
  spdlog::shutdown();
  std::_Exit(1);
}

absl::StatusOr<core::State> Replay(store::Journal& journal) {
  core::State state;
  WATTLE_ASSIGN_OR_RETURN(const std::optional<store::StoredSnapshot> snapshot,
                          journal.LatestSnapshot());
  if (snapshot.has_value()) {
    WATTLE_ASSIGN_OR_RETURN(state, core::ParseSnapshot(snapshot->bytes));
  }
  WATTLE_RETURN_IF_ERROR(
      journal.Replay(state.last_sequence.value(), [&state](const v1::Event& event) {
        core::Apply(state, event);  // Effects of the past: workers get their desired set at hello.
        return absl::OkStatus();
      }));
  return state;
}

// Whether the decision looks at observations closely enough to want fresh ones.
bool WantsFreshObservations(const core::Command& command) {
  return std::holds_alternative<core::Tick>(command) ||
         std::holds_alternative<core::PlanComputed>(command);
}

// The plan as one text: equal for plans that say the same.
std::string Fingerprint(const core::PlanComputed& plan) {
  std::string text;
  for (const scheduler::QueuePlacement& job : plan.jobs) {
    absl::StrAppend(&text, job.job.value(), "\n", job.placement.device_id(), "\n",
                    job.placement.wait(), "\n", job.placement.reason(), "\n");
  }
  return text;
}

bool PlacesSomething(const core::PlanComputed& plan) {
  for (const scheduler::QueuePlacement& job : plan.jobs) {
    if (!job.placement.device_id().empty() && !job.placement.wait()) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> Runtime::Start(RuntimeOptions options,
                                                        WorkerLinks* links) {
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<store::Journal> journal,
                          store::Journal::Open(options.journal_path));
  WATTLE_ASSIGN_OR_RETURN(core::State state, Replay(*journal));
  if (!options.on_commit_failure) {
    options.on_commit_failure = EndProcess;
  }
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
      started_at_(options_.clock->Now()),
      journal_(std::move(journal)),
      links_(links),
      view_(std::move(state)),
      board_(started_at_, options_.unreachable_after),
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
  PendingCommand pending{std::move(command), std::move(done)};
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
  ObservationBoard::Reader reader = board_.MakeReader();
  std::vector<PendingCommand> batch;
  while (commands_.PopAll(batch)) {
    counters_.CountCommands(batch.size());
    for (PendingCommand& pending : batch) {
      if (WantsFreshObservations(pending.command)) {
        board_.Refresh(reader);
      }
      core::Decision decision =
          core::Decide(state, pending.command, reader.observations, options_.clock->Now());
      for (const v1::Event& event : decision.events) {
        core::Apply(state, event);  // Its effects are those of the durable view's own Apply.
      }
      PendingCommit commit;
      commit.events = std::move(decision.events);
      commit.effects = std::move(decision.effects);
      commit.answer = {std::move(decision.status), std::move(decision.id), decision.existed};
      commit.done = std::move(pending.done);
      if (commit.events.empty() && commit.effects.empty() && !commit.done) {
        continue;  // A tick that changed nothing.
      }
      commits_.Push(std::move(commit));
    }
  }
  commits_.Close();
}

void Runtime::RunCommit() {
  std::vector<PendingCommit> batch;
  while (commits_.PopAll(batch)) {
    if (!CommitBatch(batch)) {
      return;
    }
    WriteSnapshotIfDue();
  }
}

// Everything that waits is one transaction. False after a failure.
bool Runtime::CommitBatch(std::vector<PendingCommit>& batch) {
  std::vector<v1::Event> events;
  std::vector<core::Effect> effects;
  for (PendingCommit& commit : batch) {
    for (v1::Event& event : commit.events) {
      events.push_back(std::move(event));
    }
    for (core::Effect& effect : commit.effects) {
      effects.push_back(std::move(effect));
    }
  }
  if (!events.empty()) {
    const Monotonic start = options_.clock->Boottime();
    const absl::Status appended = journal_->Append(events);
    if (!appended.ok()) {
      options_.on_commit_failure(appended);
      commits_.Close();
      commands_.Close();
      return false;
    }
    counters_.CountCommit(options_.clock->Boottime() - start, events);
    events_since_snapshot_ += static_cast<int64_t>(events.size());
    for (core::Effect& effect : view_.Apply(events)) {
      effects.push_back(std::move(effect));
    }
  }
  // Answers before effects: a hello's welcome goes out before its desired set.
  for (PendingCommit& commit : batch) {
    if (commit.done) {
      commit.done(commit.answer);
    }
  }
  CarryOut(effects);
  return true;
}

// Each kind once for each device or job, however often the batch asks for it.
void Runtime::CarryOut(const std::vector<core::Effect>& effects) {
  std::map<std::pair<DeviceId, int64_t>, int64_t> acknowledged;
  std::set<DeviceId> desired;
  std::set<JobId> jobs;
  bool queue_changed = false;
  for (const core::Effect& effect : effects) {
    std::visit(Overloaded{[&](const core::DesiredSetChanged& e) { desired.insert(e.device); },
                          [&](const core::Acknowledge& e) {
                            int64_t& sequence = acknowledged[{e.device, e.incarnation}];
                            sequence = std::max(sequence, e.sequence);
                          },
                          [&](const core::QueueChanged&) { queue_changed = true; },
                          [&](const core::JobChanged& e) { jobs.insert(e.job); }},
               effect);
  }
  if (links_ != nullptr) {
    for (const auto& [key, sequence] : acknowledged) {
      v1::ReportAcknowledgement ack;
      ack.set_incarnation(key.second);
      ack.set_sequence(sequence);
      links_->SendAcknowledgement(key.first, std::move(ack));
    }
    for (const DeviceId& device : desired) {
      links_->SendDesired(device, view_.Read([&device](const core::State& state) {
        return core::DesiredFor(state, device);
      }));
    }
  }
  if (queue_changed) {
    WakePlanner();
  }
  for (const JobId& job : jobs) {
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
  const bool anything_queued = view_.Read([](const core::State& state) {
    for (const int64_t number : state.open_jobs) {
      if (state.jobs.at(number).job().state() == v1::JOB_STATE_QUEUED) {
        return true;
      }
    }
    return false;
  });
  if (!anything_queued) {
    last_plan_.clear();
    return false;
  }
  const Monotonic start = options_.clock->Boottime();
  board_.Refresh(reader);
  scheduler::ProfileTable profiles;
  scheduler::Snapshot snapshot = view_.Read([&](const core::State& state) {
    profiles = core::ProfilesOf(state);
    return core::MakeSnapshot(state, reader.observations, options_.planning, options_.clock->Now());
  });
  core::PlanComputed plan = core::ComputePlan(std::move(snapshot), profiles);
  counters_.CountPlan(options_.clock->Boottime() - start);
  std::string fingerprint = Fingerprint(plan);
  if (!PlacesSomething(plan) && fingerprint == last_plan_) {
    return false;
  }
  last_plan_ = std::move(fingerprint);
  // Lost when the queue is full: the next interval plans again.
  if (!Post(std::move(plan), nullptr).ok()) {
    last_plan_.clear();
  }
  return true;
}

void Runtime::RunTimer() {
  absl::Time next_tick = absl::InfinitePast();
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.progress_interval);
      if (stopping_) {
        return;
      }
    }
    watchers_.NotifyAll();
    const absl::Time now = absl::Now();
    if (now >= next_tick || next_tick - now > options_.tick_interval) {
      next_tick = now + options_.tick_interval;
      // Lost when the queue is full: the next one comes.
      (void)Post(core::Tick{}, nullptr);
    }
  }
}

}  // namespace wattle::runtime
