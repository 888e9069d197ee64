// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The links between workers and coordinator: in order within a stream until it breaks, and what an
// older stream still carries may arrive after the newer one's messages. Single-threaded.
#ifndef WATTLE_SIM_NETWORK_H_
#define WATTLE_SIM_NETWORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "sim/event_loop.h"
#include "sim/options.h"
#include "sim/random.h"

namespace wattle::sim {

enum class Direction { kUp, kDown };  // up: towards the coordinator

class Network {
 public:
  // broken: called once for a stream when a message of it is lost; both ends find out by themselves
  // later. All references outlive the network.
  Network(EventLoop& loop, Random& random, const Options& options, Counts& counts,
          std::function<void(int worker, int64_t stream)> broken)
      : loop_(loop),
        random_(random),
        options_(options),
        counts_(counts),
        broken_(std::move(broken)) {}

  void Send(int worker, int64_t stream, Direction direction, std::function<void()> deliver);
  void Break(int worker, int64_t stream);
  void SetPartitioned(int worker, bool partitioned);
  void StopFaults() {
    faults_ = false;
    partitioned_.clear();
  }

 private:
  EventLoop& loop_;
  Random& random_;
  const Options& options_;
  Counts& counts_;
  std::function<void(int, int64_t)> broken_;
  bool faults_ = true;
  std::set<int> partitioned_;
  std::set<int64_t> broken_streams_;
  std::map<std::pair<int64_t, Direction>, double> last_delivery_seconds_;  // by stream
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_NETWORK_H_
