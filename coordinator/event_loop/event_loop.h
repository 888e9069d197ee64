// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The duties of the program around the pure core (coordinator/core/core.h), as types. The shape
// follows Ready and Advance in etcd's raft (rawnode.go): commands go in, and outcomes leave only
// after their events are durable. Both users of the event loop keep this order:
//   1. ready = loop.Step(request, observations, now), as often as there are commands;
//      several Readys join into one batch with Ready::Add
//   2. append ready.events() to the journal; on failure end the process (replay, never roll back)
//   3. released = std::move(ready).Durable(number of the last durable event)
//   4. give released.answers to the callers, then carry out the rest of `released`
// coordinator/runtime puts threads around the event loop, sim puts a loop around it. Nothing here
// reads a clock, draws a random number, touches a file or starts a thread. Not thread-safe: one
// thread owns an EventLoop. A Ready is a value, and another thread may finish it.
#ifndef WATTLE_COORDINATOR_EVENT_LOOP_EVENT_LOOP_H_
#define WATTLE_COORDINATOR_EVENT_LOOP_EVENT_LOOP_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "coordinator/core/command.h"
#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::event_loop {

struct Answer {
  absl::Status status;
  std::string id;  // of the job, device or artifact concerned
  bool existed = false;
};
using AnswerCallback = std::function<void(const Answer&)>;

// A command, and the callback for its answer. The event loop passes `done` on and never calls it.
// `done` may be null.
struct Request {
  core::Command command;
  AnswerCallback done;
  // The caller, which each event of the command records. Without fields: no caller.
  v1::EventCaller caller = {};
};

// The outcome that may leave the process, because all its events are durable. Each effect appears
// once for its device or job, even if the batch repeats it.
struct Released {
  struct Answered {
    AnswerCallback done;
    Answer answer;
  };
  std::vector<Answered> answers;  // in the order of the commands; `done` is never null
  std::vector<core::Acknowledge> acknowledgements;  // the highest of each device and incarnation
  std::set<DeviceId> desired;                       // devices to send the set of core::DesiredFor
  std::set<JobId> jobs;                             // jobs whose watchers should read them again
  bool queue_changed = false;                       // the next plan may differ
};

// The outcome of one or more commands. Ready holds the outcome back until it is durable.
class Ready {
 public:
  // The events to append to the journal, in order. May be empty; Durable then needs no append.
  [[nodiscard]] const std::vector<v1::Event>& events() const { return events_; }
  // Whether there is no event, no answer that a caller waits for, and no effect.
  [[nodiscard]] bool empty() const {
    return events_.empty() && answers_.empty() && effects_.empty();
  }
  // Appends the outcome of later commands.
  void Add(Ready later);
  // Releases the answers and effects, once every event up to and including `sequence` is durable.
  // REQUIRES: `sequence` is at least the number of the last event.
  [[nodiscard]] Released Durable(SequenceNumber sequence) &&;

 private:
  friend class EventLoop;
  std::vector<v1::Event> events_;
  std::vector<Released::Answered> answers_;
  std::vector<core::Effect> effects_;
};

// Owns the live state: the state of the journal once every stepped command is durable.
class EventLoop {
 public:
  // state: the journal's state (Recover).
  explicit EventLoop(core::State state) : state_(std::move(state)) {}

  // Decides the command and applies its events to the live state at once, so that the next command
  // builds on them.
  [[nodiscard]] Ready Step(Request request, const core::Observations& observations,
                           const core::Instant& now);

  [[nodiscard]] const core::State& state() const { return state_; }

 private:
  core::State state_;
};

// TakeRow takes one row of a snapshot. GiveRows gives all its rows.
using TakeRow = std::function<absl::Status(absl::string_view row)>;
using GiveRows = std::function<absl::Status(const TakeRow& take)>;

// The stored journal at a start: snapshots, and the events after them. The runtime binds these
// functions to store::Journal, so that the event loop depends on no database.
struct Recorded {
  std::vector<int64_t> snapshots;  // The sequence number of each one's last event, newest first.
  std::function<absl::Status(int64_t sequence, const TakeRow& take)> read_snapshot;
  // Gives the events after a snapshot, or all events (0), in order.
  std::function<absl::Status(int64_t after_sequence,
                             const std::function<absl::Status(const v1::Event&)>& take)>
      replay;
  // Called when Recover skips a snapshot because the snapshot or an event after it is damaged. May
  // be null.
  std::function<void(int64_t sequence, const absl::Status& problem)> passed_over;
};
// The state after the last durable event: the newest snapshot from which all later events can be
// read, plus those events. Recover drops the effects of the past, because each worker gets its
// desired set after its hello. Errors: those of reading; kDataLoss, with the damage and the remedy,
// if all snapshots are unusable.
absl::StatusOr<core::State> Recover(const Recorded& recorded);

// Checks that the rows of a stored snapshot restore `state`. Errors: kDataLoss; those of `stored`.
absl::Status CheckSnapshot(const core::State& state, const GiveRows& stored);

// The first message to a worker once its hello is durable; the desired set follows. Welcome names
// the journal and the worker's last report in the journal.
struct WelcomeSettings {
  absl::Time now;
  absl::Duration heartbeat_interval;
};
v1::Welcome WelcomeFor(const core::State& durable, const DeviceId& device, int64_t incarnation,
                       const WelcomeSettings& settings);

// Whether the decision needs fresh observations.
bool WantsFreshObservations(const core::Command& command);

// Decides whether a computed plan is worth a command. A plan that starts nothing and repeats the
// last plan's reasons would change nothing.
class PlanFilter {
 public:
  // Remembers `plan`. False: the caller drops the plan.
  bool WorthPosting(const core::PlanComputed& plan);
  // Forgets the last plan, so that the next plan is posted. Called for a plan that could not be
  // posted, and when there is nothing to plan.
  void Forget() { last_.clear(); }

 private:
  std::string last_;
};

}  // namespace wattle::event_loop

#endif  // WATTLE_COORDINATOR_EVENT_LOOP_EVENT_LOOP_H_
