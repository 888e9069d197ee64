// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The links between workers and coordinator. A stream delivers in order until it breaks. Messages
// of an older stream may arrive after messages of a newer one. Single-threaded.
#ifndef WATTLE_SIM_NETWORK_H_
#define WATTLE_SIM_NETWORK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "sim/event_loop.h"
#include "sim/options.h"
#include "sim/random.h"

namespace wattle::sim {

enum class Direction { kUp, kDown };  // up: towards the coordinator

class Network {
 public:
  using StreamId = int64_t;  // from 1; 0: none

  // broken: called once for a stream when one of its messages is lost; each end notices later. All
  // references must outlive the network.
  Network(EventLoop& loop, Random& random, const Options& options, Counts& counts,
          std::function<void(int device, StreamId stream)> broken)
      : loop_(loop),
        random_(random),
        options_(options),
        counts_(counts),
        broken_(std::move(broken)),
        partitioned_(static_cast<size_t>(options.devices), false),
        round_trips_seconds_(static_cast<size_t>(options.devices), 0.0) {}

  StreamId Open(int device);
  void Send(StreamId stream, Direction direction, std::function<void()> deliver);
  void Break(StreamId stream);
  void BreakAll();  // one end's process has ended
  void BreakSome(double share);
  void SetPartitioned(int device, bool partitioned) {
    partitioned_[static_cast<size_t>(device)] = partitioned;
  }
  [[nodiscard]] bool partitioned(int device) const {
    return partitioned_[static_cast<size_t>(device)];
  }
  // Round-trip time of messages, in addition to the drawn delays.
  void SetRoundTrip(int device, double seconds) {
    round_trips_seconds_[static_cast<size_t>(device)] = seconds;
  }
  void StopFaults();

 private:
  struct Stream {
    int device = 0;
    std::array<double, 2> last_delivery_seconds{};
  };

  EventLoop& loop_;
  Random& random_;
  const Options& options_;
  Counts& counts_;
  std::function<void(int, StreamId)> broken_;
  bool faults_ = true;
  std::vector<bool> partitioned_;
  std::vector<double> round_trips_seconds_;
  StreamId next_ = 1;
  std::map<StreamId, Stream> streams_;  // the unbroken streams
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_NETWORK_H_
