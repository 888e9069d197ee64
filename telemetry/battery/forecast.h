// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How long a battery lasts and when it is full, from its charge, its power and the harvest that
// each hour of the day has brought so far. What is forecast is for people and metrics: the guard
// counts on no sun. Pure: times come with the calls. One thread owns an object.
#ifndef WATTLE_TELEMETRY_BATTERY_FORECAST_H_
#define WATTLE_TELEMETRY_BATTERY_FORECAST_H_

#include <array>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// What came from panel or charger in one hour of the day, UTC. Each new day halves what earlier
// days left, so that a season is followed within a week.
struct HarvestHour {
  Joules energy{};
  absl::Duration observed{};
};
using HarvestHours = std::array<HarvestHour, 24>;

// A gauge's reading and what the device drew then.
struct BatteryReading {
  Monotonic at{};
  absl::Time civil{};
  Fraction charge{};
  std::optional<Joules> capacity{};
  std::optional<Watts> discharge{};  // out of the battery; negative: into it
  std::optional<Watts> device{};     // of the whole device
};

class BatteryForecast {
 public:
  explicit BatteryForecast(const HarvestHours& harvest) : harvest_(harvest) {}

  // Readings in order of time. Where the gauge tells no power, the power follows from how the
  // charge moves over kSlopeTime. A gap, such as a suspend, is no harvest.
  void Add(const BatteryReading& reading);

  // Into the battery; negative: out of it. Absent: not known yet, or the last reading is old.
  [[nodiscard]] std::optional<Watts> Power(Monotonic now) const;
  // At the present power; absent while the battery does not discharge.
  [[nodiscard]] std::optional<absl::Duration> ToEmpty(Monotonic now) const;
  // By what each hour has brought, at the device's present draw; hours without an observation bring
  // what the present one does. Absent: not within kAheadMax, or not known.
  [[nodiscard]] std::optional<absl::Duration> ToFull(Monotonic now) const;
  [[nodiscard]] const HarvestHours& harvest() const { return harvest_; }
  // Mean over the observed time of an hour; absent: none.
  [[nodiscard]] std::optional<Watts> HarvestAt(int hour) const;

  static constexpr absl::Duration kSlopeTime = absl::Minutes(15);
  static constexpr absl::Duration kGapMax = absl::Minutes(2);
  static constexpr absl::Duration kAheadMax = absl::Hours(14 * 24);

 private:
  [[nodiscard]] bool IsCurrent(Monotonic now) const;
  void FollowSlope(const BatteryReading& reading);
  void CountHarvest(const BatteryReading& reading);

  HarvestHours harvest_;
  std::optional<BatteryReading> last_;
  std::optional<BatteryReading> slope_from_;
  std::optional<Joules> capacity_;
  std::optional<Watts> power_;  // into the battery
  std::optional<int> hour_;     // that is being counted
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_BATTERY_FORECAST_H_
