// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Delivery with seeded loss, delay and partitions.
#include "sim/network.h"

#include <algorithm>
#include <utility>

namespace wattle::sim {

void Network::Send(int worker, int64_t stream, Direction direction, std::function<void()> deliver) {
  if (broken_streams_.contains(stream)) {
    return;
  }
  if (partitioned_.contains(worker) || (faults_ && random_.Chance(options_.loss))) {
    Break(worker, stream);
    return;
  }
  double& last = last_delivery_seconds_[{stream, direction}];
  last = std::max(last, loop_.now_seconds() + random_.Between(0.001, options_.delay_seconds_max));
  loop_.After(last - loop_.now_seconds(), std::move(deliver));
}

void Network::Break(int worker, int64_t stream) {
  if (broken_streams_.insert(stream).second) {
    ++counts_.broken_streams;
    broken_(worker, stream);
  }
}

void Network::SetPartitioned(int worker, bool partitioned) {
  if (partitioned) {
    partitioned_.insert(worker);
  } else {
    partitioned_.erase(worker);
  }
}

}  // namespace wattle::sim
