// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The duties of whoever runs the pure core (coordinator/core/core.h), as types. The shape is that
// of raft's Ready and Advance: commands go in, and what comes out cannot be told to anybody before
// its events are durable. Both users of the shell follow this order:
//   1. ready = shell.Step(request, observations, now), as often as there are commands;
//      several Readys join into one batch with Ready::Add
//   2. append ready.events() to the journal; on failure end the process (replay, never roll back)
//   3. released = std::move(ready).Durable(number of the last durable event)
//   4. give released.answers to the callers, then carry out the rest of `released`
// coordinator/runtime is threads around this, sim is a loop around this. Nothing here reads a
// clock, draws a random number, touches a file or starts a thread. Not thread-safe: one thread owns
// a Shell; a Ready is a value and may be finished by another thread.
#ifndef WATTLE_COORDINATOR_SHELL_SHELL_H_
#define WATTLE_COORDINATOR_SHELL_SHELL_H_

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

namespace wattle::shell {

// The answer to a command.
struct Answer {
  absl::Status status;
  std::string id;  // of the job, device or artifact concerned
  bool existed = false;
};
using AnswerCallback = std::function<void(const Answer&)>;

// A command, and whom its answer is for. The shell carries `done` and never calls it; may be null.
struct Request {
  core::Command command;
  AnswerCallback done;
};

// What may be told to others, because everything that it depends on is durable. Effects are told
// once for each device or job, however often the batch asks for them.
struct Released {
  struct Answered {
    AnswerCallback done;
    Answer answer;
  };
  std::vector<Answered> answers;  // in the order of the commands; `done` is never null
  std::vector<core::Acknowledge> acknowledgements;  // the highest of each device and incarnation
  std::set<DeviceId> desired;  // devices to send their desired set, as core::DesiredFor says
  std::set<JobId> jobs;        // whose watchers shall look again
  bool queue_changed = false;  // a plan may come out otherwise
};

// The outcome of one or more commands, held back until it is durable.
class Ready {
 public:
  // To append to the journal, in this order. May be empty: then Durable asks for nothing.
  [[nodiscard]] const std::vector<v1::Event>& events() const { return events_; }
  // Neither an event, nor an answer that somebody waits for, nor an effect.
  [[nodiscard]] bool empty() const {
    return events_.empty() && answers_.empty() && effects_.empty();
  }
  // Joins the outcome of later commands.
  void Add(Ready later);
  // Everything up to and including `sequence` is durable: lets go of answers and effects.
  // REQUIRES: `sequence` is not below that of the last event.
  [[nodiscard]] Released Durable(SequenceNumber sequence) &&;

 private:
  friend class Shell;
  std::vector<v1::Event> events_;
  std::vector<Released::Answered> answers_;
  std::vector<core::Effect> effects_;
};

// The live state: what the journal will say once everything that was stepped is durable.
class Shell {
 public:
  // state: what the journal says (Recover).
  explicit Shell(core::State state) : state_(std::move(state)) {}

  // Decides the command and applies its events to the live state at once, so that the next command
  // builds on it.
  [[nodiscard]] Ready Step(Request request, const core::Observations& observations,
                           const core::Instant& now);

  [[nodiscard]] const core::State& state() const { return state_; }

 private:
  core::State state_;
};

// Takes one row of a snapshot; gives all rows of one.
using TakeRow = std::function<absl::Status(absl::string_view row)>;
using GiveRows = std::function<absl::Status(const TakeRow& take)>;

// What a start finds in the journal: snapshots, and the events after them. Bound to store::Journal
// by the runtime, so that the shell knows no database.
struct Recorded {
  std::vector<int64_t> snapshots;  // Sequence numbers of their last events, newest first.
  std::function<absl::Status(int64_t sequence, const TakeRow& take)> read_snapshot;
  // Events after a snapshot, or all of them (0), in order.
  std::function<absl::Status(int64_t after_sequence,
                             const std::function<absl::Status(const v1::Event&)>& take)>
      replay;
  // A snapshot is passed over, because it or the event after it is damaged. May be null.
  std::function<void(int64_t sequence, const absl::Status& problem)> passed_over;
};
// The state after the last durable event: that of the newest snapshot from which all later events
// can be read. Effects of the past are dropped: each worker gets its desired set at its hello.
// Errors: those of reading; kDataLoss names the damage that no snapshot avoids, and what to do.
absl::StatusOr<core::State> Recover(const Recorded& recorded);

// Whether the rows of a stored snapshot are the state. Errors: kDataLoss; those of `stored`.
absl::Status CheckSnapshot(const core::State& state, const GiveRows& stored);

// What a worker is told when its hello is durable, before its desired set: which journal this is,
// and up to which of its reports the journal has them.
struct WelcomeSettings {
  absl::Time now;
  absl::Duration heartbeat_interval;
};
v1::Welcome WelcomeFor(const core::State& durable, const DeviceId& device, int64_t incarnation,
                       const WelcomeSettings& settings);

// Whether the decision looks at observations closely enough to want fresh ones.
bool WantsFreshObservations(const core::Command& command);

// When a computed plan is worth a command. A plan that starts nothing and says what the last one
// said would only be decided again to nothing.
class PlanFilter {
 public:
  // Remembers `plan`; false: drop it.
  bool WorthPosting(const core::PlanComputed& plan);
  // The last plan did not arrive, or there was nothing to plan: the next one is worth posting.
  void Forget() { last_.clear(); }

 private:
  std::string last_;
};

}  // namespace wattle::shell

#endif  // WATTLE_COORDINATOR_SHELL_SHELL_H_
