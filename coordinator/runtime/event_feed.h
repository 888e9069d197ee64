// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The latest events of the fleet as sentences, for watchers. The feed's own thread reads the
// journal and the connections at intervals, so that no commit waits for the feed. The memory is
// bounded: the oldest events are dropped first. Refused calls have a separate memory, so that a
// flood of them displaces no event. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_EVENT_FEED_H_
#define WATTLE_COORDINATOR_RUNTIME_EVENT_FEED_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "coordinator/runtime/runtime.h"
#include "coordinator/store/journal_reader.h"
#include "units/id.h"
#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::runtime {

// The look-ups that EventTextOf needs beside the event.
struct EventContext {
  std::function<std::string(const std::string& device_id)> device_name;
  std::function<std::string(const std::string& attempt_id)> device_of_attempt;  // The device's id.
  // When the attempt ended; 0: it is live, or its job has left the state.
  std::function<double(const std::string& attempt_id)> ended_unix_seconds = nullptr;
};

// An event of the journal as one sentence for people. Pure. nullopt for bookkeeping events:
// acknowledged reports, ledgers, resolved inputs, learned profiles, jobs that moved to the history.
std::optional<v1::FleetEvent> EventTextOf(const v1::Event& event, const EventContext& context);

class EventFeed {
 public:
  static constexpr size_t kEventsMax = 1000;
  static constexpr size_t kRefusalsMax = 200;  // In addition to the events.

  // runtime, journal: must outlive the feed.
  EventFeed(Runtime& runtime, store::JournalReader& journal)
      : runtime_(runtime), journal_(journal) {}

  // Calls `before_look` (unless empty) and then Look every `interval` until Stop.
  void Run(absl::Duration interval, const std::function<void()>& before_look);
  void Stop();
  // Adds the events since the last Look. Everything that was durable when Look began is in the feed
  // when Look ends, so a caller that reads after Look sees its own earlier changes. Errors: those
  // of the journal; the next Look tries again.
  absl::Status Look() ABSL_LOCKS_EXCLUDED(look_mutex_);

  // Adds a refused call, which is not in the journal, after the events that are durable by then.
  // line: for people.
  void TellRefusal(const std::string& line) ABSL_LOCKS_EXCLUDED(look_mutex_);

  struct Page {
    std::vector<v1::FleetEvent> events;
    int64_t next = 0;  // The next call passes this number to get later events.
  };
  // Events numbered `from` or higher, oldest first, at most `events_max`.
  [[nodiscard]] Page Read(int64_t from, size_t events_max) const;
  // The number of the first of the latest `limit` events that are not older than
  // `since_unix_seconds`. Refused calls are not counted, so more than `limit` entries may follow.
  [[nodiscard]] int64_t FirstOf(size_t limit, double since_unix_seconds) const;
  // The latest `limit` audited events of the whole journal, its latest counts of refused calls (at
  // most kRefusalsMax in addition), and the refused calls in memory, in order of time; none older
  // than `since_unix_seconds`. next: see Read, for what follows. Errors: those of the journal.
  absl::StatusOr<Page> Audited(size_t limit, double since_unix_seconds)
      ABSL_LOCKS_EXCLUDED(look_mutex_);
  // Waits for an event numbered `from` or higher. Returns false if none came within `patience`.
  [[nodiscard]] bool WaitFor(int64_t from, absl::Duration patience) const;
  [[nodiscard]] bool stopped() const;

 private:
  // Adds the journal's events since its last call.
  absl::Status TellJournal() ABSL_EXCLUSIVE_LOCKS_REQUIRED(look_mutex_);
  // Adds devices that connected or disconnected since the last Look; the journal has no such
  // events.
  void TellConnections(std::set<DeviceId> connected) ABSL_EXCLUSIVE_LOCKS_REQUIRED(look_mutex_);
  // The journal's events as sentences, without bookkeeping.
  [[nodiscard]] std::vector<v1::FleetEvent> Tell(const std::vector<v1::Event>& events) const;
  void Push(v1::FleetEvent event) ABSL_LOCKS_EXCLUDED(mutex_);
  struct Numbered {
    int64_t number = 0;
    v1::FleetEvent event;
  };
  // Entries of both memories, in the order of their numbers.
  [[nodiscard]] std::vector<const Numbered*> From(int64_t number) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Runtime& runtime_;
  store::JournalReader& journal_;
  absl::Mutex look_mutex_;  // One Look after another. Taken before mutex_.
  int64_t told_sequence_ ABSL_GUARDED_BY(look_mutex_) = 0;  // The journal's last event in the feed.
  // Events from before the first Look are not logged.
  bool looked_ ABSL_GUARDED_BY(look_mutex_) = false;
  // Devices that were connected at the last Look.
  std::set<DeviceId> connected_ ABSL_GUARDED_BY(look_mutex_);

  mutable absl::Mutex mutex_;
  std::deque<Numbered> events_ ABSL_GUARDED_BY(mutex_);
  std::deque<Numbered> refusals_ ABSL_GUARDED_BY(mutex_);
  int64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;  // The next event's number.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_EVENT_FEED_H_
