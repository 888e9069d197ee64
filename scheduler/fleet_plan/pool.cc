// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/pool.h"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace wattle::fleet_plan {

Pool::Pool(size_t slots, timetable::Seconds time)
    : leaves_(std::bit_ceil(std::max<size_t>(2, slots))), times_(2 * leaves_, kNever) {
  std::fill_n(times_.begin() + static_cast<std::ptrdiff_t>(leaves_), slots, time);
  for (size_t node = leaves_ - 1; node > 0; --node) {
    times_[node] = std::min(times_[2 * node], times_[2 * node + 1]);
  }
}

void Pool::Set(size_t slot, timetable::Seconds time) {
  size_t node = leaves_ + slot;
  times_[node] = time;
  for (node /= 2; node > 0; node /= 2) {
    times_[node] = std::min(times_[2 * node], times_[2 * node + 1]);
  }
}

size_t Pool::EarliestSlot() const {
  size_t node = 1;
  while (node < leaves_) {
    node *= 2;
    node += times_[node + 1] < times_[node] ? 1 : 0;
  }
  return node - leaves_;
}

}  // namespace wattle::fleet_plan
