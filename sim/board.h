// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The truth of one simulated board: its power, its battery's charge, its temperature; and its
// sensors, which can be silent, stuck or wrong. The worker sees only the sensors; the invariants
// see the truth. Boards of a shared pack advance together. Single-threaded.
#ifndef WATTLE_SIM_BOARD_H_
#define WATTLE_SIM_BOARD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"

#include "base/clock.h"
#include "sim/true_pack.h"
#include "sim/true_speed.h"
#include "telemetry/sensors/source.h"
#include "units/quantity.h"

namespace wattle::sim {

// Heat sources of a board, and the air around it.
struct TrueHeat {
  double kelvin_per_watt = 3.0;
  double time_constant_seconds = 90.0;
  Celsius air{25.0};                  // mean of the day
  double air_swing_kelvin = 0.0;      // warmest by this much at 3 p.m., coolest 12 h later
  std::optional<Celsius> throttle{};  // work heats the board no further than this
};

struct BoardSettings {
  Watts idle{3.0};
  Watts work{12.0};
  std::optional<Joules> battery{};  // absent: mains
  Fraction charge{1.0};             // at the start
  // A pack that the board shares with others, instead of its own. `battery` is its capacity, and
  // the sun is that of the whole pack. Null: the board has its own pack.
  std::shared_ptr<SharedPack> shared_pack{};
  Watts harvest_peak{};  // peak power of the panel, at noon
  // Power of the panel in watts, hour by hour from `sun_begins_seconds` on, instead of
  // harvest_peak; no sun before and after. Null: harvest_peak.
  std::shared_ptr<const std::vector<double>> sun_watts{};
  double sun_begins_seconds = 0.0;
  double day_seconds = 86400.0;  // from one noon to the next
  double noon_seconds = 0.0;     // time of the first noon
  Fraction gauge_error{0.02};    // the error that the gauge states
  double gauge_bias = 0.0;       // constant offset of the readings, within the stated error
  Fraction reserve{0.0};         // while the charge is below it, the board counts its work
  SpeedChanges speed{};
  TrueHeat heat{};
};

// The state of a board's pack at one moment.
struct PackMoment {
  Fraction charge{};
  Watts sun{};
};

class Board {
 public:
  explicit Board(const BoardSettings& settings);
  // Makes the board draw from its shared pack; the board must not move in memory afterwards.
  void JoinPack();

  // Advances energy, charge and heat of all boards of the pack to this time. Times are seconds of
  // the world and never go back.
  void AdvanceTo(double at_seconds);
  // The pack at a later time, if nothing changes until then. Does not advance the board.
  [[nodiscard]] PackMoment PackAt(double at_seconds) const;
  void SetWorking(bool working) { working_ = working; }
  void SetWorkPower(Watts power) { work_power_ = power; }
  void SetPowered(bool powered) { powered_ = powered; }
  void SetClouds(double share) { sun_share_ = share; }  // remaining share of the harvest
  void Recharge();  // fills the battery and switches to mains for good
  void SetAmbient(Celsius ambient) { ambient_ = ambient; }

  [[nodiscard]] bool working() const { return working_; }
  [[nodiscard]] Watts power() const;
  [[nodiscard]] Joules energy() const { return energy_; }  // drawn since the start
  [[nodiscard]] double powered_seconds() const { return powered_seconds_; }
  [[nodiscard]] double working_seconds() const { return working_seconds_; }
  [[nodiscard]] Joules work_energy() const { return work_energy_; }  // gross energy while work runs
  // Sun that a full battery could not store. For a shared pack only the first board returns it, and
  // the others return 0, because it was lost once.
  [[nodiscard]] Joules lost_sun() const;
  // How often work ran with a true charge below the settings' reserve.
  [[nodiscard]] int64_t reserve_breaches() const { return reserve_breaches_; }
  [[nodiscard]] bool has_battery() const { return settings_.battery.has_value(); }
  [[nodiscard]] Fraction charge() const;
  [[nodiscard]] Watts harvest() const;  // of the panel, even if a full pack cannot store it
  [[nodiscard]] Celsius temperature() const { return temperature_; }
  // Factor by which a step takes longer now than when the world began.
  [[nodiscard]] double slower_by() const;
  [[nodiscard]] const BoardSettings& settings() const { return settings_; }

  struct SensorFaults {
    bool gauge_silent = false;
    bool gauge_sags = false;  // the next reading is empty
    std::optional<Fraction> gauge_says{};
    // The last value is repeated. A stuck gauge is neither silent, nor does it sag or lie.
    bool gauge_stuck = false;
    bool rail_stuck = false;
    bool rail_gone = false;
    bool rail_absurd = false;
    bool rail_flaps = false;
    bool thermometer_silent = false;
    // Whether the meter's joules cannot be compared with the gauge.
    [[nodiscard]] bool rail_is_ill() const { return rail_stuck || rail_gone || rail_absurd; }
  };
  SensorFaults sensors;

  // The sensors as the worker sees them: one source with an energy counter, a thermometer and, on a
  // battery, a gauge.
  [[nodiscard]] telemetry::SourceInfo Sensors() const;
  // The present readings. A silent sensor has none.
  [[nodiscard]] std::vector<telemetry::Reading> Read(Monotonic now);

 private:
  // Advances the boards of one pack.
  static void AdvanceTogether(absl::Span<Board* const> boards, TruePack& pack, double at_seconds);
  // Returns the joules that the board draws in this time.
  Joules Draw(double seconds);
  void Warm(double seconds);
  [[nodiscard]] TruePack& pack() { return shared_ == nullptr ? own_pack_ : shared_->pack; }
  [[nodiscard]] const TruePack& pack() const {
    return shared_ == nullptr ? own_pack_ : shared_->pack;
  }
  // Total power that boards draw from the pack.
  [[nodiscard]] Watts PowerFromPack() const;
  // Power of work, as far as the temperature allows.
  [[nodiscard]] Watts WorkPower() const;
  void CountBreaches();
  [[nodiscard]] telemetry::ChargeState ReadGauge();
  // Reading of the energy counter; absent: it is silent.
  [[nodiscard]] std::optional<Joules> ReadRail();

  const BoardSettings settings_;
  double now_seconds_ = 0.0;
  Watts work_power_;
  bool working_ = false;
  bool powered_ = false;
  double powered_seconds_ = 0.0;
  double working_seconds_ = 0.0;
  bool below_reserve_ = false;  // while work runs
  int64_t reserve_breaches_ = 0;
  double sun_share_ = 1.0;
  Celsius ambient_;
  Celsius temperature_{25.0};
  Joules energy_{};
  Joules work_energy_{};
  TruePack own_pack_;
  SharedPack* shared_;    // that of the settings, or a copy for a look ahead; null: own_pack_
  Joules told_energy_{};  // last reading of the counter
  int64_t absurd_readings_ = 0;
  Fraction told_charge_{};  // last reading of the gauge
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_BOARD_H_
