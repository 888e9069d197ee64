// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Virtual time: things to do, in order of their time and then of their making. Time passes only by
// running them. Single-threaded.
#ifndef WATTLE_SIM_EVENT_LOOP_H_
#define WATTLE_SIM_EVENT_LOOP_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace wattle::sim {

class EventLoop {
 public:
  [[nodiscard]] double now_seconds() const { return now_seconds_; }
  [[nodiscard]] int64_t steps() const { return made_; }

  void After(double delay_seconds, std::function<void()> action) {
    actions_.emplace(std::pair(now_seconds_ + delay_seconds, made_++), std::move(action));
  }

  // Runs everything up to that time, then stands at it. Stops early when `stop` says so.
  void RunUntil(double end_seconds, const std::function<bool()>& stop) {
    while (!actions_.empty() && actions_.begin()->first.first <= end_seconds && !stop()) {
      auto first = actions_.extract(actions_.begin());
      now_seconds_ = first.key().first;
      first.mapped()();
    }
    now_seconds_ = end_seconds;
  }

 private:
  double now_seconds_ = 0.0;
  int64_t made_ = 0;
  std::map<std::pair<double, int64_t>, std::function<void()>> actions_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_EVENT_LOOP_H_
