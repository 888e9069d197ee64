// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The plan's view of a pack, from the reports of its boards: charge, floor, sun, and the risk that
// work may take. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_SUN_PACK_SPEC_H_
#define WATTLE_SCHEDULER_PLACE_SUN_PACK_SPEC_H_

#include <cstddef>
#include <vector>

#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/pack.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// No real pack is larger, and integers of millijoules could overflow.
inline constexpr Joules kPackMax(1e9);

// Whether the idle draw is known, and the board uses wall time.
bool HasKnownIdle(const v1::Device& device);
// Whether charge and sun are known. A device with another time than wall time has no sun that a
// plan could use.
bool HasKnownSun(const v1::Device& device);

// The boards of one pack, and the one whose gauge measures it.
struct PackBoards {
  const Snapshot& snapshot;
  const std::vector<size_t>& devices;
  const DeviceView& view;  // The board with that gauge.
  const v1::Device& gauge = view.device;

  [[nodiscard]] Watts idle() const;  // Sum over all boards.
};

// REQUIRES: HasKnownSun(gauge), and HasKnownIdle for each board.
timetable::PackSpec SpecOf(const PackBoards& on);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SUN_PACK_SPEC_H_
