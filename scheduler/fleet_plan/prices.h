// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shadow prices of time and charge. A linear program spreads the jobs of each work class over
// device classes and buckets of time, whole or in parts. The prices of its scarce rows say how much
// dearer all other jobs become if one job takes a second of a device class, or a joule of its
// packs, in a bucket. A planner that adds them to a job's cost leaves frugal boards and bright
// hours to the jobs that gain most from them.
//
// The program has only classes and means: it does not contain which board is busy, has a cache or
// rows of its own. Its answer is therefore no plan; the planner makes one from the prices, and the
// plan counts only if it is cheaper and breaks no rule. Pure.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_PRICES_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_PRICES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"

#include "scheduler/fleet_plan/fleet.h"
#include "scheduler/solve/solver.h"
#include "scheduler/timetable/pack.h"

namespace wattle::fleet_plan {

// A device class on mains, or the boards of a device class on packs.
struct Prices {
  struct Bucket {
    Milliwatts of_second = 0;          // Millijoules for each second of a device's time.
    int64_t of_joule_thousandths = 0;  // Millijoules for each joule that a run draws from a pack.
  };

  // The cost to all other jobs of a run that starts then.
  [[nodiscard]] Millijoules Of(int device, const timetable::Draw& draw, Seconds start) const;
  [[nodiscard]] size_t BucketAt(Seconds moment) const;
  // All prices scaled by `percent`.
  [[nodiscard]] Prices At(int64_t percent) const;

  Seconds begin = 0;
  Seconds bucket_length = 1;
  std::vector<size_t> group_of;             // For each device.
  std::vector<std::vector<Bucket>> groups;  // Each with the same number of buckets.
};

struct PriceOptions {
  int buckets = 24;
  int ways_max = 16;  // The cheapest ways of each work class.
  int iterations_max = 0;
};

struct PricedFleet {
  Prices prices;
  solve::Basis basis;  // A start for the next program of the same fleet.
};

// Errors: those of the solver and of CheckSolution.
absl::StatusOr<PricedFleet> PricesOf(const Fleet& fleet, const solve::Solver& solver,
                                     const PriceOptions& options, const solve::Basis* start);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_PRICES_H_
