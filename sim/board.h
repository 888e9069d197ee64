// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The truth of one simulated board: its power, its battery's charge, its temperature; and its
// sensors, which can be silent, stuck or wrong. The worker sees only the sensors; the invariants
// see the truth. Boards of a shared pack pass their time together. Single-threaded.
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

// What warms a board, and the air about it.
struct TrueHeat {
  double kelvin_per_watt = 3.0;
  double time_constant_seconds = 90.0;
  Celsius air{25.0};                  // mean of the day
  double air_swing_kelvin = 0.0;      // warmer so much three hours after noon, and colder by night
  std::optional<Celsius> throttle{};  // no watts of work make the board warmer than this
};

struct BoardSettings {
  Watts idle{3.0};
  Watts work{12.0};
  std::optional<Joules> battery{};  // absent: mains
  Fraction charge{1.0};             // at the start
  // That the board draws from together with others, in place of a pack of its own. `battery` is its
  // capacity, and the sun is that of the whole pack. Null: the board has its pack to itself.
  std::shared_ptr<SharedPack> shared_pack{};
  Watts harvest_peak{};  // of a panel at noon
  // Watts of the panel, hour by hour from `sun_begins_seconds` on, instead of harvest_peak; no sun
  // before and after. Null: harvest_peak.
  std::shared_ptr<const std::vector<double>> sun_watts{};
  double sun_begins_seconds = 0.0;
  double day_seconds = 86400.0;  // from one noon to the next
  double noon_seconds = 0.0;     // time of the first noon
  Fraction gauge_error{0.02};    // the error that the gauge states
  double gauge_bias = 0.0;       // constant offset of the readings, within the stated error
  Fraction reserve{0.0};         // below it the board counts its work
  SpeedChanges speed{};
  TrueHeat heat{};
};

// Of a board's pack at one moment.
struct PackMoment {
  Fraction charge{};
  Watts sun{};
};

class Board {
 public:
  explicit Board(const BoardSettings& settings);
  // A board of a shared pack draws from it from now on, and must stay where it is.
  void JoinPack();

  // Advances energy, charge and heat to this time, of all boards of the pack. Times are seconds of
  // the world and never go back.
  void AdvanceTo(double at_seconds);
  // The pack at a later time, if nothing changes until then. The board stays where it is.
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
  // What the panel gave and a full battery could not take. Of a shared pack the first board tells
  // it, and the others tell 0: it was lost once.
  [[nodiscard]] Joules lost_sun() const;
  // How often work ran with a true charge below the settings' reserve.
  [[nodiscard]] int64_t reserve_breaches() const { return reserve_breaches_; }
  [[nodiscard]] bool has_battery() const { return settings_.battery.has_value(); }
  [[nodiscard]] Fraction charge() const;
  [[nodiscard]] Watts harvest() const;  // of the panel, also where a full pack cannot take it
  [[nodiscard]] Celsius temperature() const { return temperature_; }
  // By which a step takes longer now than when the world began.
  [[nodiscard]] double slower_by() const;
  [[nodiscard]] const BoardSettings& settings() const { return settings_; }

  struct SensorFaults {
    bool gauge_silent = false;
    bool gauge_sags = false;  // the next reading says empty
    std::optional<Fraction> gauge_says{};
    // The last value stays. A gauge that is stuck is neither silent nor does it sag or lie.
    bool gauge_stuck = false;
    bool rail_stuck = false;
    bool rail_gone = false;
    bool rail_absurd = false;
    bool rail_flaps = false;
    bool thermometer_silent = false;
    // Whether the meter's joules are no measure of the gauge.
    [[nodiscard]] bool rail_is_ill() const { return rail_stuck || rail_gone || rail_absurd; }
  };
  SensorFaults sensors;

  // The sensors as the worker sees them: one source with an energy counter, a thermometer and, on a
  // battery, a gauge.
  [[nodiscard]] telemetry::SourceInfo Sensors() const;
  // The present readings. A silent sensor has none.
  [[nodiscard]] std::vector<telemetry::Reading> Read(Monotonic now);

 private:
  // The boards of one pack.
  static void AdvanceTogether(absl::Span<Board* const> boards, TruePack& pack, double at_seconds);
  // Returns what the board draws in this time.
  Joules Draw(double seconds);
  void Warm(double seconds);
  [[nodiscard]] TruePack& pack() { return shared_ == nullptr ? own_pack_ : shared_->pack; }
  [[nodiscard]] const TruePack& pack() const {
    return shared_ == nullptr ? own_pack_ : shared_->pack;
  }
  // Of all boards that draw from the pack.
  [[nodiscard]] Watts PowerFromPack() const;
  // Of work, as far as the temperature allows.
  [[nodiscard]] Watts WorkPower() const;
  void CountBreaches();
  [[nodiscard]] telemetry::ChargeState ReadGauge();
  // Of the energy counter; absent: it tells nothing.
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
  Joules told_energy_{};  // by the counter's last reading
  int64_t absurd_readings_ = 0;
  Fraction told_charge_{};  // by the gauge's last reading
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_BOARD_H_
