// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A queue between threads with a capacity. When it is full, TryPush refuses (the caller tells its
// client) and Push waits (a thread that may wait on its consumer). Thread-safe.
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

  // False when full or closed; `item` is then untouched.
  bool TryPush(T& item) {
    absl::MutexLock lock(&mutex_);
    if (closed_ || items_.size() >= capacity_) {
      return false;
    }
    items_.push_back(std::move(item));
    return true;
  }

  // Waits for room; false when closed.
  bool Push(T item) {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BoundedQueue::HasRoomOrIsClosed));
    if (closed_) {
      return false;
    }
    items_.push_back(std::move(item));
    return true;
  }

  // Waits for something and takes all of it, in order. `taken` is emptied first; its buffer becomes
  // the queue's. False when closed and empty.
  bool PopAll(std::vector<T>& taken) {
    taken.clear();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BoundedQueue::HasItemsOrIsClosed));
    taken.swap(items_);
    return !taken.empty();
  }

  // What is in it is still taken; nothing more comes in.
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
