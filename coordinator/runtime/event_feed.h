// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The latest events of the fleet as sentences, for those who follow them. The feed looks at the
// journal and at the connections every so often, on a thread of its own: no commit waits for it.
// Bounded: the oldest events go first. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_EVENT_FEED_H_
#define WATTLE_COORDINATOR_RUNTIME_EVENT_FEED_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "coordinator/runtime/runtime.h"
#include "coordinator/store/journal_reader.h"
#include "units/id.h"
#include "wattle/v1/coordinator.pb.h"

namespace wattle::runtime {

class EventFeed {
 public:
  static constexpr size_t kEventsMax = 1000;

  // Both outlive the feed.
  EventFeed(Runtime& runtime, store::JournalReader& journal)
      : runtime_(runtime), journal_(journal) {}

  // Looks again every `interval`, until Stop.
  void Run(absl::Duration interval);
  void Stop();
  // Takes in what happened since the last look. One thread. Errors: those of the journal; the next
  // look tries again.
  absl::Status Look();

  struct Page {
    std::vector<v1::FleetEvent> events;
    int64_t next = 0;  // Pass it to the next call for what comes later.
  };
  // Events with a number from `from` on, at most `events_max`, the oldest first.
  [[nodiscard]] Page Read(int64_t from, size_t events_max) const;
  // The number from which the latest `limit` events not older than `since_unix_seconds` begin.
  [[nodiscard]] int64_t FirstOf(size_t limit, double since_unix_seconds) const;
  // Waits for an event with the number `from` or a later one. False: none came within `patience`.
  [[nodiscard]] bool WaitFor(int64_t from, absl::Duration patience) const;
  [[nodiscard]] bool stopped() const;

 private:
  // What no event of the journal tells: connections that came or went.
  void LookAtConnections();
  void Push(v1::FleetEvent event) ABSL_LOCKS_EXCLUDED(mutex_);

  Runtime& runtime_;
  store::JournalReader& journal_;
  int64_t told_sequence_ = 0;     // Of the journal. This and the next: of the looking thread.
  std::set<DeviceId> connected_;  // At the last look.

  mutable absl::Mutex mutex_;
  std::deque<v1::FleetEvent> events_ ABSL_GUARDED_BY(mutex_);
  int64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;  // Of the event that comes next.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_EVENT_FEED_H_
