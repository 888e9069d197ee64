// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/earliest_start.h"

namespace wattle::timetable {

std::optional<Seconds> EarliestStart(const Timeline& timeline, const Pack* pack, const Draw& draw,
                                     Seconds after, Seconds latest_end) {
  Seconds begin = after;
  while (true) {
    begin = timeline.EarliestGap(begin, draw.length);
    if (begin + draw.length > latest_end) {
      return std::nullopt;
    }
    if (pack == nullptr) {
      return begin;
    }
    const std::optional<Seconds> charged = pack->EarliestFit(draw, begin);
    if (!charged || *charged == begin) {
      return charged;
    }
    begin = *charged;  // The gap may be too short from there.
  }
}

}  // namespace wattle::timetable
