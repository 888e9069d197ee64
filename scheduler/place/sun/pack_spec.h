// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A pack as a plan takes it, from what its boards tell: charge, floor, sun, and the risk that work
// may take. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_SUN_PACK_SPEC_H_
#define WATTLE_SCHEDULER_PLACE_SUN_PACK_SPEC_H_

#include <cstddef>
#include <vector>

#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/pack.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// Beyond it no pack is real, and integers of millijoules could overflow.
inline constexpr Joules kPackMax(1e9);

// Whether the idle draw is known, and the board counts in wall time.
bool HasKnownIdle(const v1::Device& device);
// Whether charge and sun are known. A device of another time than wall time has no sun that a plan
// could count on.
bool HasKnownSun(const v1::Device& device);

// The boards of one pack, and the one of them whose gauge tells of it.
struct PackBoards {
  const Snapshot& snapshot;
  const std::vector<size_t>& devices;
  const DeviceView& view;  // Of the board with that gauge.
  const v1::Device& gauge = view.device;

  [[nodiscard]] Watts idle() const;  // Of all of them.
};

// REQUIRES: HasKnownSun(gauge), and HasKnownIdle of each.
timetable::PackSpec SpecOf(const PackBoards& on);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SUN_PACK_SPEC_H_
