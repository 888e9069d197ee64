// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The charge of one battery pack over time, under all work that is planned on it. One board or
// several boards draw from a pack; the pack's capacity, charge and sun count once, and the draws of
// all its boards add up.
//
// Rules of the trajectory:
//  - Idle draw counts in every second, with or without work.
//  - A full pack takes no more: surplus sun is lost. An empty pack gives no more.
//  - The floor (a reserve with its margins) binds while work runs. Without work the charge may fall
//    below the floor, because nothing can be switched off then.
//  - Work that is pausable rests while the charge is at its floor, and continues as far as the sun
//    supplies it. Such work never breaks a floor itself: its guard stops it, and its checkpoint
//    keeps its progress.
//  - The sun is unknown. A set of equally likely paths describes it, and each path has the harvest
//    of every hour. A plan keeps the floor in all paths but `broken_paths_max`.
//  - Path p of one pack and path p of another pack on the same site are the same weather.
//  - The draw of work is unknown too. Each path has its own quantile of the draw, independent of
//    how dark the path is.
//
// Pure; integers only, so that the same plan comes out on every architecture. One thread owns an
// object, because const calls may follow a path for the first time and keep the result. Copies
// share the pack's description, so a copy is cheap.
#ifndef WATTLE_SCHEDULER_TIMETABLE_PACK_H_
#define WATTLE_SCHEDULER_TIMETABLE_PACK_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/level.h"

namespace wattle::timetable {

// The draw of one run from its pack.
struct Draw {
  Seconds length = 0;
  Milliwatts power = 0;       // Above idle, in each second: the mean.
  Milliwatts deviation = 0;   // One standard deviation of `power`, which is a forecast too.
  Millijoules at_start = 0;   // Drawn at once when the run begins.
  Millijoules held_back = 0;  // The charge that its guard keeps above the floor while it runs.
  bool pausable = false;      // `length` is work and rests together.
};

// A run with its place in time.
struct Demand {
  int job = 0;  // The caller's index. Remove takes all demands of one job.
  Seconds begin = 0;
  Draw draw{};

  [[nodiscard]] Seconds end() const { return begin + draw.length; }
};

// From this moment until the next step, work must leave at least this charge.
struct FloorStep {
  Seconds from = 0;
  Millijoules charge = 0;
};

struct PackSpec {
  Seconds now = 0;
  Millijoules capacity = 0;
  Millijoules charge = 0;  // At `now`; at most the capacity.
  Milliwatts idle = 0;     // The sum over the pack's boards.
  // In order of time. Before the first step the floor is 0. A charge that must keep the boards
  // alive until a moment is a staircase that falls hour by hour.
  std::vector<FloorStep> floor{};
  // Power into the pack: harvest[path][hour], each path with the same number of hours. Hour 0 began
  // at `first_hour`, at most an hour before `now`. One path and one hour at least.
  Seconds first_hour = 0;
  std::vector<std::vector<Milliwatts>> harvest{};
  // floor(risk x paths).
  int broken_paths_max = 0;
};

// A tenth of the paths is at or below `low`, half at or below `median`, nine tenths at or below
// `high`. Each value is the charge of one path, never a mean of several.
struct ChargeQuantiles {
  Seconds at = 0;
  Millijoules low = 0;
  Millijoules median = 0;
  Millijoules high = 0;
};

// The charge of a pack at the begin and at the end of a run: half of the paths are at or below it.
struct ChargeOfRun {
  Millijoules begin = 0;
  Millijoules end = 0;
};

class Pack {
 public:
  // Starts are tried on this grid, and at the earliest allowed one.
  static constexpr Seconds kStartStep = 900;

  explicit Pack(PackSpec spec);

  [[nodiscard]] const PackSpec& spec() const { return told_->spec; }
  // All reserved work.
  [[nodiscard]] const std::vector<Demand>& demands() const { return demands_; }
  // The end of the last hour of the paths. Nothing fits that ends later.
  [[nodiscard]] Seconds horizon() const;

  // Whether the demand may be added: with it, work breaks the floor in at most broken_paths_max
  // paths, reserved work included. If reserved work by itself breaks the floor more often (the
  // gauge fell, the forecast changed), the demand may not break the floor of a reserved run in a
  // path in which that run keeps it, and the limit applies to the demand's own work. REQUIRES:
  // begin >= now, length > 0.
  [[nodiscard]] bool Fits(const Demand& demand) const;
  // The earliest begin at which the run fits, among `after` and the later multiples of kStartStep;
  // nullopt: none within the horizon.
  [[nodiscard]] std::optional<Seconds> EarliestFit(const Draw& draw, Seconds after) const;

  // The earliest fit if the sun followed one path: the path than which `darker_percent` of the
  // paths have less sun.
  [[nodiscard]] std::optional<Seconds> EarliestFitIn(size_t darker_percent, const Draw& draw,
                                                     Seconds after) const;

  // When a pausable run has worked for demand.draw.length, if it begins as the demand does. In
  // `darker_percent` of the paths there is less sun than the answer assumes. Each rest takes
  // `restart` of work more. Behind the horizon each day is taken to be as its last day. nullopt:
  // that day does no work, or the run begins within it. REQUIRES: as Fits.
  [[nodiscard]] std::optional<Seconds> EndIfPaused(const Demand& demand, Seconds restart,
                                                   size_t darker_percent) const;

  // Whether the run would fit at `begin` if the pack were full then and had no other work.
  // REQUIRES: now <= begin < horizon, length > 0.
  [[nodiscard]] bool FitsWhenFull(const Draw& draw, Seconds begin) const;

  // Reserves the demand whether it fits or not: a running attempt draws in any case. Draw beyond
  // the horizon does not count. REQUIRES: those of Fits.
  void Add(const Demand& demand);
  // Removes all demands of the job; none is no error.
  void Remove(int job);

  // Paths in which reserved work breaks the floor.
  [[nodiscard]] int broken_paths() const { return broken_paths_; }
  // At `now`, at each later full hour, and at the horizon.
  [[nodiscard]] std::vector<ChargeQuantiles> ChargeByHour() const;
  // With the demand beside the reserved work. until: the end of the run, including pauses after the
  // demand. REQUIRES: now <= begin < demand's end <= until <= horizon.
  [[nodiscard]] ChargeOfRun MedianCharge(const Demand& demand, Seconds until) const;

 private:
  // The constant description of the pack. The paths are sorted from the darkest to the brightest.
  struct Told {
    PackSpec spec;
    std::vector<size_t> darkest_first;  // The first few paths find a refusal.
    bool nested = false;                // No path has less sun in any hour than a path before it.
  };
  // The time between two neighbouring changes of sun, floor or reserved work. All rates are
  // constant in a slot, so the charge is a straight line between two bounds.
  struct Slot {
    Seconds begin = 0;
    size_t hour = 0;
    Milliwatts work = 0;
    Milliwatts deviation = 0;
    Milliwatts pausable = 0;  // The draw of work that is pausable.
    Milliwatts pausable_deviation = 0;
    Millijoules at_start = 0;
    Millijoules needed = 0;  // The floor plus the charge that the guards of the slot's work hold
                             // back.
    bool working = false;    // The slot has work that does not yield.
  };
  // A path in a slot, under reserved work.
  struct Step {
    Millijoules charge = 0;  // Charge at the slot's begin, before the slot's at_start.
    // The pack's gain in the slot, without runs that begin there and without work that is pausable.
    Milliwatts net = 0;
  };
  struct Outcome {
    // The demand's own work breaks the floor, and no later begin before this one changes that.
    std::optional<Seconds> own_until{};
    // The demand breaks the floor of reserved runs that keep it without the demand, and no begin
    // before this one changes that.
    std::optional<Seconds> newly_until{};
  };
  class Kept;
  // A time within a slot of a path.
  struct Span {
    size_t path = 0;
    size_t slot = 0;
    Seconds length = 0;
  };

  [[nodiscard]] static bool Covers(const Demand& demand, const Slot& slot) {
    return demand.begin <= slot.begin && slot.begin < demand.end();
  }
  void Rebuild();
  void MakeSlots();
  [[nodiscard]] size_t SlotAt(Seconds moment) const;
  [[nodiscard]] Seconds EndOf(size_t slot) const;
  // The charge over the span, starting at `charge`. own: a run beside the reserved work; null:
  // none.
  [[nodiscard]] Level AdvanceIn(const Span& span, const Step& step, Millijoules charge,
                                const Draw* own) const;
  // The charge of the path at the moment, before a run that begins then.
  [[nodiscard]] Millijoules ChargeAt(size_t path, Seconds moment) const;
  // The charge of the path with the demand beside the reserved work, at the demand's begin and at
  // `until`. Does not store the path's steps.
  [[nodiscard]] ChargeOfRun ChargeIn(size_t path, const Demand& demand, Seconds until) const;
  [[nodiscard]] size_t PathOf(size_t darker_percent) const;
  // The path in the slot, with this charge at its begin.
  [[nodiscard]] Step StepIn(size_t path, size_t slot, Millijoules charge) const;
  // The path's steps, one for each slot and one for the horizon.
  [[nodiscard]] const Step* Steps(size_t path) const;
  void Follow(size_t path) const;
  [[nodiscard]] bool IsBroken(size_t path) const;
  [[nodiscard]] bool IsBrokenIn(size_t path, const Step& step, size_t slot) const;
  // Whether each reserved run that covers the slot breaks the floor in the path already.
  [[nodiscard]] bool AllAreBroken(size_t path, size_t slot) const;
  [[nodiscard]] Outcome Try(size_t path, const Demand& demand) const;
  // Fits; if not, sets retry_from so that no begin between the demand's and this one fits.
  [[nodiscard]] bool FitsOr(const Demand& demand, Seconds& retry_from) const;
  // The earliest begin at which the run's own work may keep the floor in the path; no begin from
  // `begin` up to it does.
  [[nodiscard]] Seconds EarliestPromise(size_t path, const Draw& draw, Seconds begin) const;
  // Whether the run keeps the floor in the path if the pack is full at its begin and has no other
  // work. REQUIRES: the run ends by the horizon.
  [[nodiscard]] bool KeepsFloorFromFull(size_t path, const Draw& draw, Seconds begin) const;
  [[nodiscard]] ChargeQuantiles QuantilesAt(Seconds at, size_t slot) const;

  std::shared_ptr<const Told> told_;
  Seconds now_;
  Millijoules charge_now_;
  std::vector<Demand> demands_;
  std::vector<Slot> slots_;
  size_t slots_until_idle_ = 0;  // After this many slots no work is reserved.
  int broken_paths_ = 0;
  // Few paths decide, so a path is followed only when needed.
  static constexpr int kNotFollowed = -1;
  mutable std::vector<int> rows_;  // For each path, its row in steps_.
  mutable std::vector<Step> steps_;
  mutable std::vector<bool> broken_;  // For each row: whether a reserved run breaks the floor.
};

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_PACK_H_
