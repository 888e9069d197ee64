// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Delivery with seeded loss, delay and partitions.
#include "sim/network.h"

#include <algorithm>
#include <utility>

namespace wattle::sim {

Network::StreamId Network::Open(int device) {
  streams_[next_].device = device;
  return next_++;
}

void Network::Send(StreamId stream, Direction direction, std::function<void()> deliver) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) {
    return;
  }
  if (partitioned_[static_cast<size_t>(found->second.device)] ||
      (faults_ && random_.Chance(options_.loss))) {
    Break(stream);
    return;
  }
  double& last = found->second.last_delivery_seconds[static_cast<size_t>(direction)];
  // A stream is ordered like TCP, so no message overtakes an earlier one in its direction.
  last = std::max(last, loop_.now_seconds() +
                            0.5 * round_trips_seconds_[static_cast<size_t>(found->second.device)] +
                            random_.Between(0.001, options_.delay_seconds_max));
  loop_.At(last, std::move(deliver));
}

void Network::Break(StreamId stream) {
  const auto found = streams_.find(stream);
  if (found != streams_.end()) {
    const int device = found->second.device;
    streams_.erase(found);
    ++counts_.broken_streams;
    broken_(device, stream);
  }
}

void Network::BreakAll() {
  while (!streams_.empty()) {
    Break(streams_.begin()->first);
  }
}

void Network::BreakSome(double share) {
  std::vector<StreamId> chosen;
  for (const auto& [stream, ends] : streams_) {
    if (random_.Chance(share)) {
      chosen.push_back(stream);
    }
  }
  // A second loop, because Break erases from streams_.
  for (const StreamId stream : chosen) {
    Break(stream);
  }
}

void Network::StopFaults() {
  faults_ = false;
  partitioned_.assign(partitioned_.size(), false);
  round_trips_seconds_.assign(round_trips_seconds_.size(), 0.0);
}

}  // namespace wattle::sim
