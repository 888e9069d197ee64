// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/event_queue.h"

#include <utility>

namespace wattle::agent {

void EventQueue::Post(Event event, size_t size_bytes) {
  absl::MutexLock lock(&mutex_);
  const auto room = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return (events_.size() < kEventsMax && bytes_ < kBytesMax) || closed_;
  };
  mutex_.Await(absl::Condition(&room));
  if (!closed_) {
    events_.push_back(std::move(event));
    bytes_ += size_bytes;
  }
}

std::deque<EventQueue::Event> EventQueue::TakeAll(Monotonic wake) {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !events_.empty(); };
  mutex_.AwaitWithTimeout(absl::Condition(&ready), wake - Clock::Real().Boottime());
  bytes_ = 0;
  return std::exchange(events_, {});
}

void EventQueue::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  events_.clear();
}

}  // namespace wattle::agent
