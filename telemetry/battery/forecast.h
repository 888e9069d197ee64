// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Forecasts how long a battery lasts and when it is full, from its charge, its power and the
// harvest of each hour of the day so far. Forecasts are for people and metrics; the guard never
// counts on sun. Pure: times come with the calls. One thread owns an object.
#ifndef WATTLE_TELEMETRY_BATTERY_FORECAST_H_
#define WATTLE_TELEMETRY_BATTERY_FORECAST_H_

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/time/time.h"

#include "base/clock.h"
#include "telemetry/battery/recent_harvest.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// The harvest from panel or charger in one hour of the day, UTC. Each new day halves the weight of
// earlier days, so that the mean follows a season within a week. The energy of a night may be a
// little below 0, because gauges are coarse.
struct HarvestHour {
  Joules energy{};
  absl::Duration observed{};
};
using HarvestHours = std::array<HarvestHour, 24>;

// A gauge's reading and the device's draw at that time.
struct BatteryReading {
  Monotonic at{};
  absl::Time civil{};
  Fraction charge{};
  std::optional<Joules> capacity{};
  std::optional<Watts> discharge{};  // out of the battery; negative: into it
  std::optional<Watts> device{};     // draw of the whole device
};

class BatteryForecast {
 public:
  // harvest, recent: saved by an earlier process.
  explicit BatteryForecast(const HarvestHours& harvest, HarvestOfHours recent = {})
      : harvest_(harvest), recent_(std::move(recent)) {}

  // Adds a reading. Readings come in order of time. If the gauge gives no power, the power follows
  // from the change of the charge over kSlopeTime. A gap, such as a suspend, counts no harvest. A
  // full battery hides the sun: such a time raises an hour's mean and never lowers it.
  void Add(const BatteryReading& reading);

  // Power into the battery; negative: out of it. Absent: unknown, or the last reading is too old.
  [[nodiscard]] std::optional<Watts> Power(Monotonic now) const;
  // Time until empty at the present power; absent while the battery does not discharge.
  [[nodiscard]] std::optional<absl::Duration> ToEmpty(Monotonic now) const;
  // Time until full by each hour's past harvest and the device's present draw. An hour without an
  // observation counts as the present one. Absent: unknown, or longer than kAheadMax.
  [[nodiscard]] std::optional<absl::Duration> ToFull(Monotonic now) const;
  [[nodiscard]] const HarvestHours& harvest() const { return harvest_; }
  // The harvest of each of the latest hours. Hours in which a full battery hid the harvest count as
  // not observed.
  [[nodiscard]] const HarvestOfHours& recent() const { return recent_.over(); }
  // Mean harvest in the observed time of an hour; absent: the hour was never observed.
  [[nodiscard]] std::optional<Watts> HarvestAt(int hour) const;

  static constexpr absl::Duration kSlopeTime = absl::Minutes(15);
  static constexpr absl::Duration kGapMax = absl::Minutes(2);
  static constexpr absl::Duration kAheadMax = absl::Hours(14 * 24);
  // From this charge on a battery may take less than the sun gives.
  static constexpr Fraction kFull = Fraction(0.99);

 private:
  // The harvest of the `length` that ends at `end`. hidden: the battery was full meanwhile.
  struct Observed {
    absl::Time end;
    absl::Duration length;
    Watts power;
    bool hidden = false;
  };
  [[nodiscard]] bool IsCurrent(Monotonic now) const;
  void FollowSlope(const BatteryReading& reading);
  void CountHarvest(const Observed& observed);
  void CountWithinHour(int64_t hour, absl::Duration length, const Observed& observed);

  HarvestHours harvest_;
  RecentHarvest recent_;
  std::optional<BatteryReading> last_;
  std::optional<BatteryReading> slope_from_;
  Joules slope_drawn_{};  // Drawn by the device since slope_from_.
  std::optional<Joules> capacity_;
  std::optional<Watts> power_;   // into the battery
  std::optional<int64_t> hour_;  // the hour that is being counted
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_BATTERY_FORECAST_H_
