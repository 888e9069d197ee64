// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Events for the thread that owns the agent's core, from any other thread. Bounded in number and in
// bytes: beyond that the poster waits, so that a flooding runner fills its pipe instead of the
// agent's memory. Thread-safe.
#ifndef WATTLE_WORKER_AGENT_EVENT_QUEUE_H_
#define WATTLE_WORKER_AGENT_EVENT_QUEUE_H_

#include <cstddef>
#include <deque>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/clock.h"
#include "worker/agent/core/device_clock.h"

namespace wattle::agent {

class EventQueue {
 public:
  using Event = std::function<void(const Instant&)>;
  static constexpr size_t kEventsMax = 10'000;
  static constexpr size_t kBytesMax = size_t{8} << 20;

  // Waits while the queue is full. size_bytes: the memory that the event holds besides itself; one
  // event may exceed the limit. After Close the event is dropped.
  void Post(Event event, size_t size_bytes = 0);
  // Returns all events in order; waits for the first one until `wake`.
  std::deque<Event> TakeAll(Monotonic wake);
  // Drops pending and later events; ends all waits.
  void Close();

 private:
  absl::Mutex mutex_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of events_
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_EVENT_QUEUE_H_
