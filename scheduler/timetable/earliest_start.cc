// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/earliest_start.h"

namespace wattle::timetable {

std::optional<Seconds> EarliestStart(const Timeline& timeline, const PowerSource& power,
                                     const Draw& draw, Seconds after, Seconds latest_end) {
  Seconds begin = after;
  while (true) {
    begin = timeline.EarliestGap(begin, draw.length);
    if (begin + draw.length > latest_end) {
      return std::nullopt;
    }
    std::optional<Seconds> next = begin;
    if (power.supply != nullptr) {
      next =
          power.supply->EarliestFit({.begin = begin, .length = draw.length, .power = draw.power});
    }
    if (next && power.pack != nullptr) {
      next = power.pack->EarliestFit(draw, *next);
    }
    if (!next || *next == begin) {
      return next;
    }
    begin = *next;  // From there the gap or the supply's margin may be too short.
  }
}

}  // namespace wattle::timetable
