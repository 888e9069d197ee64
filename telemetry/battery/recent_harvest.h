// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The energy that a battery received in each hour of the latest four days. The hours show how
// bright this morning was, which the mean of many days hides, and are compared with forecasts.
// Pure: times come with the calls. One thread owns an object.
#ifndef WATTLE_TELEMETRY_BATTERY_RECENT_HARVEST_H_
#define WATTLE_TELEMETRY_BATTERY_RECENT_HARVEST_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "units/quantity.h"

namespace wattle::telemetry {

// Hours that are over: the last one counts hours since 1970, and the oldest value comes first.
struct HarvestOfHours {
  int64_t last_hour = 0;
  std::vector<std::optional<Watts>> power;  // nullopt: not observed.
};

class RecentHarvest {
 public:
  static constexpr int64_t kHours = 96;
  // An hour with less observed time counts as not observed.
  static constexpr absl::Duration kObservedMin = absl::Minutes(30);

  // kept: saved by an earlier process.
  explicit RecentHarvest(HarvestOfHours kept) : over_(std::move(kept)) {}

  // Adds an observation within one hour. Calls come in order of time; if the clock went back, calls
  // are ignored until the clock has caught up. energy: may be below 0, because readings are coarse.
  void Add(int64_t hour, Joules energy, absl::Duration observed);

  [[nodiscard]] const HarvestOfHours& over() const { return over_; }

 private:
  void Enter(int64_t hour);

  HarvestOfHours over_;
  std::optional<int64_t> hour_;  // Now being observed.
  Joules energy_{};
  absl::Duration observed_{};
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_BATTERY_RECENT_HARVEST_H_
