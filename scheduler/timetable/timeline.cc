// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/timeline.h"

#include <algorithm>

#include "base/check.h"

namespace wattle::timetable {
namespace {

// The first interval that ends after the moment. All earlier intervals are over.
std::vector<Busy>::const_iterator FirstEndingAfter(const std::vector<Busy>& busy, Seconds moment) {
  return std::upper_bound(busy.begin(), busy.end(), moment,
                          [](Seconds at, const Busy& interval) { return at < interval.end; });
}

}  // namespace

void Timeline::Reserve(const Busy& busy) {
  WATTLE_CHECK(busy.begin < busy.end, "an interval has a length");
  const auto next = FirstEndingAfter(busy_, busy.begin);
  WATTLE_CHECK(next == busy_.end() || busy.end <= next->begin, "a device runs one job at a time");
  busy_.insert(next, busy);
}

void Timeline::Release(int job) {
  std::erase_if(busy_, [job](const Busy& interval) { return interval.job == job; });
}

bool Timeline::IsFree(Seconds begin, Seconds end) const {
  const auto next = FirstEndingAfter(busy_, begin);
  return next == busy_.end() || end <= next->begin;
}

Seconds Timeline::EarliestGap(Seconds after, Seconds length) const {
  WATTLE_CHECK(length > 0, "a gap has a length");
  Seconds begin = after;
  for (auto next = FirstEndingAfter(busy_, after); next != busy_.end(); ++next) {
    if (begin + length <= next->begin) {
      return begin;
    }
    begin = next->end;
  }
  return begin;
}

}  // namespace wattle::timetable
