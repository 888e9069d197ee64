// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The latest events of the fleet as sentences, for those who follow them. The feed's own thread
// reads the journal and the connections at intervals, so that no commit waits for the feed. The
// memory is bounded: the oldest events go first. Refused calls have a memory of their own, so that
// no flood of them displaces an event. Thread-safe.
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
  // When the attempt ended; 0: it has not, or its job has left the state.
  std::function<double(const std::string& attempt_id)> ended_unix_seconds = nullptr;
};

// An event of the journal as one sentence for people. Pure. nullopt for events of bookkeeping:
// acknowledged reports, ledgers, resolved inputs, learned profiles, jobs that moved to the history.
std::optional<v1::FleetEvent> EventTextOf(const v1::Event& event, const EventContext& context);

class EventFeed {
 public:
  static constexpr size_t kEventsMax = 1000;
  static constexpr size_t kRefusalsMax = 200;  // Beside those.

  // runtime, journal: must outlive the feed.
  EventFeed(Runtime& runtime, store::JournalReader& journal)
      : runtime_(runtime), journal_(journal) {}

  // Calls Look every `interval`, until Stop, and before each one `before_look`, which may be empty.
  void Run(absl::Duration interval, const std::function<void()>& before_look);
  void Stop();
  // Adds the events since the last Look. All that was durable when Look began is in the feed when
  // Look ends: who reads after Look sees what he did before. Errors: those of the journal; the next
  // Look tries again.
  absl::Status Look() ABSL_LOCKS_EXCLUDED(look_mutex_);

  // Adds a call that was refused, which is no event of the journal, after the events that were
  // durable by then. line: for people.
  void TellRefusal(const std::string& line) ABSL_LOCKS_EXCLUDED(look_mutex_);

  struct Page {
    std::vector<v1::FleetEvent> events;
    int64_t next = 0;  // The next call passes this number to get later events.
  };
  // Events numbered `from` or higher, oldest first, at most `events_max`.
  [[nodiscard]] Page Read(int64_t from, size_t events_max) const;
  // The number of the first of the latest `limit` events that are not older than
  // `since_unix_seconds`. Refused calls do not count, so that more may follow.
  [[nodiscard]] int64_t FirstOf(size_t limit, double since_unix_seconds) const;
  // The latest `limit` audited events of the whole journal, its latest counts of refused calls, at
  // most kRefusalsMax beside them, and the refused calls that are still known, by their time; none
  // older than `since_unix_seconds`. next: as Read's, for what follows. Errors: those of the
  // journal.
  absl::StatusOr<Page> Audited(size_t limit, double since_unix_seconds)
      ABSL_LOCKS_EXCLUDED(look_mutex_);
  // Waits for an event numbered `from` or higher. False: no such event came within `patience`.
  [[nodiscard]] bool WaitFor(int64_t from, absl::Duration patience) const;
  [[nodiscard]] bool stopped() const;

 private:
  // Adds the journal's events since it was last called.
  absl::Status TellJournal() ABSL_EXCLUSIVE_LOCKS_REQUIRED(look_mutex_);
  // Adds connections that came or went since the last Look, which are no events of the journal.
  void TellConnections(std::set<DeviceId> connected) ABSL_EXCLUSIVE_LOCKS_REQUIRED(look_mutex_);
  // Those of the journal that are told, as sentences.
  [[nodiscard]] std::vector<v1::FleetEvent> Tell(const std::vector<v1::Event>& events) const;
  void Push(v1::FleetEvent event) ABSL_LOCKS_EXCLUDED(mutex_);
  struct Numbered {
    int64_t number = 0;
    v1::FleetEvent event;
  };
  // Of both memories, in the order of their numbers.
  [[nodiscard]] std::vector<const Numbered*> From(int64_t number) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Runtime& runtime_;
  store::JournalReader& journal_;
  absl::Mutex look_mutex_;  // One Look after another. Taken before mutex_.
  int64_t told_sequence_ ABSL_GUARDED_BY(look_mutex_) = 0;  // The journal's last told event.
  // What was there before the first Look is no news for the log.
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
