// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When one device is busy. A device runs one attempt at a time, so its intervals never overlap.
//
// A reservation never moves: nothing here shifts an interval, and a later job may use a gap in
// front of one only if the job ends by its begin. This rule is conservative backfill. Closed work
// windows and drains are intervals too.
//
// Pure; one thread owns an object.
#ifndef WATTLE_SCHEDULER_TIMETABLE_TIMELINE_H_
#define WATTLE_SCHEDULER_TIMETABLE_TIMELINE_H_

#include <vector>

#include "absl/types/span.h"

#include "scheduler/timetable/amounts.h"

namespace wattle::timetable {

// [begin, end): the next interval may begin in the second in which this one ends.
struct Busy {
  Seconds begin = 0;
  Seconds end = 0;
  int job = 0;  // The caller's index. Release takes all intervals of one job.
};

class Timeline {
 public:
  // REQUIRES: begin < end, and the device is free in the whole interval.
  void Reserve(const Busy& busy);
  // Frees all intervals of the job; none is no error.
  void Release(int job);

  [[nodiscard]] bool IsFree(Seconds begin, Seconds end) const;
  // The earliest begin of `length` free seconds, at or after `after`. Always exists, at the latest
  // after the last interval. REQUIRES: length > 0.
  [[nodiscard]] Seconds EarliestGap(Seconds after, Seconds length) const;
  // In order of time.
  [[nodiscard]] absl::Span<const Busy> busy() const { return busy_; }

 private:
  std::vector<Busy> busy_;
};

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_TIMELINE_H_
