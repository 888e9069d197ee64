// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A bounded queue between threads. On a full queue TryPush refuses, for a thread that must report
// this to its client; Push waits, for a thread that may wait for its consumer. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_BOUNDED_QUEUE_H_
#define WATTLE_COORDINATOR_RUNTIME_BOUNDED_QUEUE_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace wattle::runtime {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) { items_.reserve(capacity); }

  // Returns false if the queue is full or closed; `item` is then unchanged.
  bool TryPush(T& item) {
    absl::MutexLock lock(&mutex_);
    if (closed_ || items_.size() >= capacity_) {
      return false;
    }
    items_.push_back(std::move(item));
    return true;
  }

  // Waits for room. Returns false if the queue is closed.
  bool Push(T item) {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BoundedQueue::HasRoomOrIsClosed));
    if (closed_) {
      return false;
    }
    items_.push_back(std::move(item));
    return true;
  }

  // Waits for an item and takes all items in order. Clears `taken` first and gives its buffer to
  // the queue. Returns false if the queue is closed and empty.
  bool PopAll(std::vector<T>& taken) {
    taken.clear();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BoundedQueue::HasItemsOrIsClosed));
    taken.swap(items_);
    return !taken.empty();
  }

  // Closes the queue: consumers still take its items, and new items are refused.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  [[nodiscard]] size_t size() const {
    absl::MutexLock lock(&mutex_);
    return items_.size();
  }

 private:
  bool HasRoomOrIsClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || items_.size() < capacity_;
  }
  bool HasItemsOrIsClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || !items_.empty();
  }

  const size_t capacity_;
  mutable absl::Mutex mutex_;
  std::vector<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_BOUNDED_QUEUE_H_
