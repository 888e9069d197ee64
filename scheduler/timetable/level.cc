// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/level.h"

#include <algorithm>

namespace wattle::timetable {
namespace {

// Joins the later part of a time to an earlier part, which began at `begin`. `worked`: time worked
// in both parts.
Level Behind(Millijoules begin, Seconds worked, Level later) {
  return {.lowest = std::min(begin, later.lowest), .end = later.end, .worked = worked};
}

}  // namespace

Level Advance(Millijoules begin, Milliwatts net, Seconds length, Millijoules capacity) {
  const Millijoules end = begin + net * length;
  return {.lowest = std::min(begin, end), .end = std::clamp<Millijoules>(end, 0, capacity)};
}

Level AdvanceBeside(const PausableWork& work, Millijoules begin, Milliwatts net, Seconds length,
                    Millijoules capacity) {
  if (work.floor > capacity) {
    return Advance(begin, net, length, capacity);
  }
  const Milliwatts left = net - work.power;
  Seconds worked = 0;
  Millijoules charge = begin;
  if (begin > work.floor) {
    worked = left < 0 ? std::min(length, (begin - work.floor) / -left) : length;
    if (worked == length) {
      return Behind(begin, worked, Advance(begin, left, length, capacity));
    }
    charge = work.floor;
    length -= worked;
  } else if (net > 0) {
    const Seconds rests = (work.floor - begin) / net;
    if (rests >= length) {
      return Advance(begin, net, length, capacity);
    }
    charge = work.floor;
    length -= rests;
  }
  // The charge is at the floor, or below it without sun.
  if (net <= 0) {
    return Behind(begin, worked, Advance(charge, net, length, capacity));
  }
  worked += left >= 0 ? length : length * net / work.power;
  return Behind(begin, worked, Advance(charge, std::max<Milliwatts>(0, left), length, capacity));
}

}  // namespace wattle::timetable
