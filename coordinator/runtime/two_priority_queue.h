// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A queue between threads with two lines, each with its own order and capacity. Items of the first
// line go before those of the second, which still gets half of each batch. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_TWO_PRIORITY_QUEUE_H_
#define WATTLE_COORDINATOR_RUNTIME_TWO_PRIORITY_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace wattle::runtime {

enum class QueueLine { kAhead, kBehind };

template <typename T>
class TwoPriorityQueue {
 public:
  explicit TwoPriorityQueue(size_t capacity_of_a_line) : capacity_(capacity_of_a_line) {}

  // Returns false if the line is full or the queue closed; `item` is then unchanged.
  bool TryPush(QueueLine line, T& item) {
    absl::MutexLock lock(&mutex_);
    std::deque<T>& items = line == QueueLine::kAhead ? ahead_ : behind_;
    if (closed_ || items.size() >= capacity_) {
      return false;
    }
    items.push_back(std::move(item));
    return true;
  }

  // Waits for an item and takes at most `items_max`. Clears `taken` first. Returns false if the
  // queue is closed and empty.
  bool PopSome(std::vector<T>& taken, size_t items_max) {
    taken.clear();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &TwoPriorityQueue::HasItemsOrIsClosed));
    Take(ahead_, items_max - std::min(behind_.size(), items_max / 2), taken);
    Take(behind_, items_max - taken.size(), taken);
    return !taken.empty();
  }

  // Closes the queue: the consumer still takes its items, and new items are refused.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  [[nodiscard]] size_t size() const {
    absl::MutexLock lock(&mutex_);
    return ahead_.size() + behind_.size();
  }

 private:
  static void Take(std::deque<T>& line, size_t items_max, std::vector<T>& taken) {
    for (; items_max > 0 && !line.empty(); --items_max) {
      taken.push_back(std::move(line.front()));
      line.pop_front();
    }
  }
  bool HasItemsOrIsClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || !ahead_.empty() || !behind_.empty();
  }

  const size_t capacity_;
  mutable absl::Mutex mutex_;
  std::deque<T> ahead_ ABSL_GUARDED_BY(mutex_);
  std::deque<T> behind_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_TWO_PRIORITY_QUEUE_H_
