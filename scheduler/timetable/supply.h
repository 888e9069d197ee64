// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The total draw of the boards of one supply, against the supply's cap: their idle draw in every
// second, plus each planned run. Reserved work never moves, and a later run may start only where
// the sum stays within the cap to the run's end.
//
// Pure; integers only. One thread owns an object.
#ifndef WATTLE_SCHEDULER_TIMETABLE_SUPPLY_H_
#define WATTLE_SCHEDULER_TIMETABLE_SUPPLY_H_

#include <optional>
#include <vector>

#include "scheduler/timetable/amounts.h"

namespace wattle::timetable {

struct SupplySpec {
  Milliwatts cap = 0;
  Milliwatts idle = 0;  // The sum over the supply's boards.
};

// A run with its place in time. power: above idle, in each second.
struct SupplyRun {
  int job = 0;  // The caller's index. Remove takes all runs of one job.
  Seconds begin = 0;
  Seconds length = 0;
  Milliwatts power = 0;

  [[nodiscard]] Seconds end() const { return begin + length; }
};

class Supply {
 public:
  explicit Supply(const SupplySpec& spec) : spec_(spec) {}

  // Whether the run could be added at any time if no other run were reserved.
  [[nodiscard]] bool FitsAlone(Milliwatts power) const { return spec_.idle + power <= spec_.cap; }
  // Whether the boards stay within the cap while the run goes on. Reserved runs count even if they
  // exceed the cap by themselves. REQUIRES: length > 0.
  [[nodiscard]] bool Fits(const SupplyRun& run) const {
    return DrawOver(run) + run.power <= spec_.cap;
  }
  // The earliest begin at which the run fits, at or after its begin; nullopt: it never fits. Power
  // becomes free only at the ends of other runs, so only the ends are tried.
  [[nodiscard]] std::optional<Seconds> EarliestFit(SupplyRun run) const;

  // Reserves the run whether it fits or not: a running attempt draws in any case.
  void Add(const SupplyRun& run) { runs_.push_back(run); }
  // Removes all runs of the job; none is no error.
  void Remove(int job);

  // The boards' largest total draw at any moment of the run, without the run itself.
  [[nodiscard]] Milliwatts DrawOver(const SupplyRun& run) const;
  [[nodiscard]] const SupplySpec& spec() const { return spec_; }
  [[nodiscard]] const std::vector<SupplyRun>& runs() const { return runs_; }

 private:
  SupplySpec spec_;
  std::vector<SupplyRun> runs_;
};

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_SUPPLY_H_
