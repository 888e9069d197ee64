// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Virtual time: runs actions in order of their time, and at equal times in order of creation. Time
// advances only with actions. Single-threaded.
#ifndef WATTLE_SIM_EVENT_LOOP_H_
#define WATTLE_SIM_EVENT_LOOP_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace wattle::sim {

class EventLoop {
 public:
  using Action = std::function<void()>;

  [[nodiscard]] double now_seconds() const { return now_seconds_; }
  [[nodiscard]] int64_t steps() const { return made_; }

  void At(double at_seconds, Action action) {
    heap_.push_back({std::max(at_seconds, now_seconds_), made_++, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  void After(double delay_seconds, Action action) {
    At(now_seconds_ + delay_seconds, std::move(action));
  }

  // Runs all actions up to `end_seconds`, then sets the time to it. Stops early if `stop` returns
  // true.
  template <typename Stop>
  void RunUntil(double end_seconds, const Stop& stop) {
    while (!heap_.empty() && heap_.front().at_seconds <= end_seconds && !stop()) {
      std::pop_heap(heap_.begin(), heap_.end(), Later);
      const Entry first = std::move(heap_.back());
      heap_.pop_back();
      now_seconds_ = first.at_seconds;
      first.action();
    }
    if (!stop()) {
      now_seconds_ = std::max(now_seconds_, end_seconds);
    }
  }

 private:
  struct Entry {
    double at_seconds = 0.0;
    int64_t number = 0;
    Action action;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return std::pair(a.at_seconds, a.number) > std::pair(b.at_seconds, b.number);
  }

  double now_seconds_ = 0.0;
  int64_t made_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_EVENT_LOOP_H_
