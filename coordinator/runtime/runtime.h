// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The eight threads around the event loop (coordinator/event_loop/event_loop.h):
//   core      takes commands from a bounded queue, people's commands before those of boards and
//             timers, and steps the event loop with each;
//   commit    commits all waiting outcomes as one batch, publishes the state after it for readers,
//             and hands the rest to `outbound`; the commit thread does no other work;
//   outbound  answers the callers and carries out durable effects;
//   keeper    writes snapshots of published states, keeps the journal's write-ahead log short, and
//             removes old history;
//   planner   plans the queue over a published state when the state changed, and at intervals;
//   improver  searches longer for a cheaper plan of that state (coordinator/core/standing_plan.h);
//   timer     posts ticks, and the command that archives ended jobs;
//   watchers  notifies those who follow a job (job_watchers.h).
// Heartbeats go to the board and never through the queue. A failed commit ends the process, and the
// next start replays the journal. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_RUNTIME_H_
#define WATTLE_COORDINATOR_RUNTIME_RUNTIME_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "coordinator/core/command.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/standing_plan.h"
#include "coordinator/core/state.h"
#include "coordinator/event_loop/event_loop.h"
#include "coordinator/runtime/attempt_logs.h"
#include "coordinator/runtime/bounded_queue.h"
#include "coordinator/runtime/counters.h"
#include "coordinator/runtime/durable_view.h"
#include "coordinator/runtime/job_watchers.h"
#include "coordinator/runtime/latest_heartbeats.h"
#include "coordinator/runtime/plan_improver.h"
#include "coordinator/runtime/runtime_ports.h"
#include "coordinator/runtime/two_priority_queue.h"
#include "coordinator/runtime/wake_signal.h"
#include "coordinator/store/history.h"
#include "coordinator/store/journal.h"

namespace wattle::runtime {

using Answer = event_loop::Answer;
using AnswerCallback = event_loop::AnswerCallback;

struct RuntimeOptions {
  std::string journal_path;
  core::PlanningInputs planning;
  size_t command_queue_capacity = 8192;
  absl::Duration tick_interval = absl::Seconds(1);
  absl::Duration plan_interval =
      absl::Seconds(2);  // Plans repeat, because batteries change without an event.
  absl::Duration progress_interval =
      absl::Milliseconds(500);  // Between progress updates to watchers.
  absl::Duration unreachable_after = absl::Seconds(10);
  // For jobs that no device can ever run (core::Observations).
  absl::Duration impossible_grace = absl::Minutes(10);
  bool hold_impossible = false;
  // Checks models that jobs read (core::Observations); empty: every model is allowed.
  std::function<absl::Status(const v1::ArtifactInfo&)> check_model;
  // Checks a submitted signature; empty: signatures are stored unchecked.
  std::function<absl::Status(const std::string& artifact_id, const v1::ArtifactSignature&)>
      check_signature;
  // Signs the fleet's outputs of signed models; empty: nothing is signed.
  std::function<v1::ArtifactSignature(const std::string& artifact_id)> sign_output;
  int64_t epoch_min =
      0;  // The lowest epoch for a copy of a journal that is opened for the first time.
  int64_t snapshot_every_events = 20'000;
  core::Retention retention;
  // How long the journal keeps the energy records, and the jobs that have left the state.
  absl::Duration history_age_max = absl::InfiniteDuration();
  MetricSink* metric_sink =
      nullptr;  // Receives the samples that workers push; null: workers push none.
  const Clock* clock = &Clock::Real();
  // Called on the outbound thread when a tick has passed the timer, core, commit and outbound
  // threads, so that none of the four hangs. Null: not called.
  std::function<void()> on_alive;
  // Called once after a failed commit. Must not return to a running coordinator. Default: log and
  // end the process with status 1.
  std::function<void(const absl::Status&)> on_commit_failure;
};

// The state of the journal: its latest readable snapshot and the events after it. Errors:
// kDataLoss; kFailedPrecondition for the journal of a newer version.
absl::StatusOr<core::State> Replay(store::Journal& journal);

// Appends the first event of a new journal, or the opening of a copy that was never opened, which
// continues under the next epoch and at least `command.epoch_min`. Appends nothing for any other
// journal. command: OpenLineage draws its ids; a journal marked as a copy counts as one.
absl::Status OpenLineage(store::Journal& journal, const Clock& clock, core::OpenJournal command,
                         core::State& state);

class Runtime {
 public:
  // Opens and replays the journal, then starts the threads. links: must outlive the runtime's
  // threads (see Stop); may be null. Errors: those of store::Journal::Open.
  static absl::StatusOr<std::unique_ptr<Runtime>> Start(RuntimeOptions options, WorkerLinks* links);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Accepts the command. The outbound thread calls `done` once, after all events of the answer are
  // durable. `done` must not block. caller: see event_loop::Request. Errors: kUnavailable when the
  // queue is full or the runtime stops; `done` is then not called.
  absl::Status Post(core::Command command, AnswerCallback done, v1::EventCaller caller = {});
  // Posts the command and waits for the answer. Must not be called from a callback. Errors:
  // kDeadlineExceeded after `timeout`.
  Answer PostAndWait(core::Command command, absl::Duration timeout, v1::EventCaller caller = {});

  // The latest durable state. A version never changes.
  [[nodiscard]] std::shared_ptr<const core::State> Version() const { return view_.Version(); }
  // See DurableView::Read.
  template <typename Look>
  auto Read(Look&& look) const {
    return view_.Read(std::forward<Look>(look));
  }

  // Refuses further commands, commits and answers the accepted ones, and ends the threads.
  void Stop();
  // Makes a consistent copy of the journal while the coordinator runs.
  absl::Status Backup(const std::string& destination) { return journal_->Backup(destination); }

  LatestHeartbeats& heartbeats() { return heartbeats_; }
  AttemptLogs& logs() { return logs_; }
  JobWatchers& watchers() { return watchers_; }
  // The history of jobs that left the state.
  [[nodiscard]] store::History& history() const { return *history_; }
  [[nodiscard]] CounterValues counters() const { return counters_.Values(); }
  [[nodiscard]] size_t queued_commands() const { return commands_.size(); }
  [[nodiscard]] const core::Instant& started() const { return started_; }
  [[nodiscard]] core::Instant Now() const {
    return {options_.clock->Now(), options_.clock->Boottime()};
  }
  [[nodiscard]] const core::PlanningInputs& planning() const { return options_.planning; }
  [[nodiscard]] const RuntimeOptions& options() const { return options_; }

 private:
  // The outcome of some commands, and the state after them.
  struct Decided {
    event_loop::Ready ready;
    core::State state;
  };

  Runtime(RuntimeOptions options, std::unique_ptr<store::Journal> journal,
          std::unique_ptr<store::History> history, core::State state, WorkerLinks* links);

  void RunCore(core::State state);
  void RunCommit();
  void RunOutbound();
  void RunKeeper();
  void RunPlanner();
  void RunTimer();
  bool Commit(event_loop::Ready ready, core::State state);
  void CarryOut(const event_loop::Released& released);
  void WriteSnapshot();
  void RemoveHistory(absl::Time before);
  // may_improve: whether the search continues until the next plan.
  void PlanOnce(LatestHeartbeats::Reader& reader, bool may_improve);

  const RuntimeOptions options_;
  const core::Instant started_;
  const std::unique_ptr<store::Journal> journal_;
  const std::unique_ptr<store::History> history_;
  WorkerLinks* const links_;
  std::atomic<int64_t> snapshot_due_at_;  // The event's sequence number.
  DurableView view_;
  LatestHeartbeats heartbeats_;
  AttemptLogs logs_;
  JobWatchers watchers_;
  Counters counters_;
  TwoPriorityQueue<event_loop::Request> commands_;
  BoundedQueue<Decided> commits_;
  BoundedQueue<event_loop::Released> released_;

  WakeSignal keeper_wake_;
  WakeSignal planner_wake_;
  WakeSignal timer_wake_;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  event_loop::PlanFilter plan_filter_;  // Only the planner thread uses it.
  core::StandingPlan standing_plan_;    // Only the planner thread uses it.
  PlanImprover improver_;
  std::vector<std::thread> threads_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_RUNTIME_H_
