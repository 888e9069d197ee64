// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The physics of an emulated board. The load on the board determines its draw; no prediction does.
// The load changes at known instants of device time, which may lie ahead. Power, heat and charge
// follow, with seeded noise and a seeded hidden offset. The board's source answers like a real one
// and always says `emulated`. One thread owns the board and its source.
#ifndef WATTLE_TELEMETRY_SENSORS_EMULATED_H_
#define WATTLE_TELEMETRY_SENSORS_EMULATED_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"
#include "telemetry/sensors/source.h"
#include "units/quantity.h"

namespace wattle::telemetry {

// Periodic throttling: at the end of every `period` of device time the board draws `power` for
// `length` and works at `speed` (0 to 1) of its normal rate.
struct ThrottlingDips {
  absl::Duration period;
  absl::Duration length;
  Watts power;
  double speed = 1.0;

  [[nodiscard]] double share() const { return absl::FDivDuration(length, period); }
};

struct EmulatedLoad {
  Watts mean{};  // mean over whole periods of the dips
  std::optional<ThrottlingDips> dips{};
};

struct EmulatedPhysics {
  Watts idle{};
  double noise_ratio = 0.0;  // standard deviation of a reading, as a share of the power
  absl::Duration refresh_period = absl::Milliseconds(430);
  Celsius ambient = Celsius(25);
  double kelvin_per_watt = 3.0;
  absl::Duration thermal_time_constant = absl::Seconds(90);
  std::optional<Joules> battery_capacity{};
  Fraction state_of_charge = Fraction(1.0);
  Watts harvest{};            // constant charging power
  uint64_t seed = 0;          // seed of the noise
  double power_factor = 1.0;  // hidden offset: the true draw as a share of the board file's
};

class EmulatedBoard {
 public:
  // start: device time at which the board is idle at ambient temperature.
  EmulatedBoard(const EmulatedPhysics& physics, Monotonic start);

  // From `from` on the board carries `load`; nullopt: idle. Cancels changes that were set earlier
  // for `from` or later. The past never changes: `from` is moved up to the latest time already
  // queried.
  void SetLoad(Monotonic from, std::optional<EmulatedLoad> load);

  // The true values, without noise. Each call advances heat and charge. REQUIRES: `at` is not
  // before the last call's.
  Watts Power(Monotonic at);
  Celsius Temperature(Monotonic at);
  Fraction StateOfCharge(Monotonic at);
  Joules Energy(Monotonic at);  // since start
  [[nodiscard]] const EmulatedPhysics& physics() const { return physics_; }

  // Whether the board throttles.
  bool Throttled(Monotonic at);

  // The board's sensors as one source. The board must outlive the source. A Poll gives one power
  // reading for each refresh period of device time since the last Poll, and one reading each of
  // temperature, throttling and, with a battery, charge.
  std::unique_ptr<Source> MakeSource();

 private:
  struct Segment {
    Monotonic from;
    std::optional<EmulatedLoad> load;
  };
  void AdvanceTo(Monotonic at);
  void Pass(absl::Duration length, Watts power);
  [[nodiscard]] Watts PowerIn(const Segment& segment, Monotonic at) const;

  EmulatedPhysics physics_;
  Monotonic start_;
  Monotonic now_;
  std::deque<Segment> segments_;  // the first segment contains now_
  Celsius temperature_;
  Joules energy_;
  Joules charge_;
};

// The end of work of `nominal` seconds (at the mean rate over whole dip periods) that begins at
// `begin`.
Monotonic EndOfWork(const std::optional<ThrottlingDips>& dips, Monotonic begin,
                    absl::Duration nominal);

// A seeded factor in [1 - range, 1 + range], such as [0.8, 1.2] for range 0.2. purpose
// distinguishes several factors of one seed.
double HiddenFactor(uint64_t seed, const std::string& purpose, double range);

// Standard normal deviate number `index` of a seed: the same on every machine.
double SeededNormal(uint64_t seed, uint64_t index);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_EMULATED_H_
