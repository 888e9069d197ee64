// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/emulated.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace wattle::telemetry {
namespace {

// Finalizer of SplitMix64: every input bit moves every output bit.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// (0, 1]
double UnitOf(uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 1.0) * 0x1.0p-53;
}

// Position inside the current dip period, from 0. The dip is at the period's end.
absl::Duration Offset(const ThrottlingDips& dips, Monotonic at) {
  absl::Duration remainder;
  absl::IDivDuration(at.since_boot(), dips.period, &remainder);
  return remainder;
}

// Power outside the dips, so that the mean over a period is the load's.
Watts HighPower(const EmulatedLoad& load) {
  const double share = load.dips->share();
  return (load.mean - load.dips->power * share) / (1.0 - share);
}

class EmulatedPowerSensor final : public PowerSensor {
 public:
  explicit EmulatedPowerSensor(EmulatedBoard* board) : board_(board) {
    info_ = {.name = "emulated ina3221 VDD_IN",
             .source = EnergySource::kEmulated,
             .scope = "module",
             .refresh_period = board->physics().refresh_period,
             .reads_the_past = true};
  }
  [[nodiscard]] const PowerSensorInfo& info() const override { return info_; }
  absl::StatusOr<PowerReading> Read(Monotonic at) override {
    const double noise =
        1.0 + board_->physics().noise_ratio * SeededNormal(board_->physics().seed, reading_++);
    return PowerReading(board_->Power(at) * noise);
  }

 private:
  EmulatedBoard* board_;
  PowerSensorInfo info_;
  uint64_t reading_ = 0;
};

class EmulatedThermometer final : public Thermometer {
 public:
  explicit EmulatedThermometer(EmulatedBoard* board) : board_(board) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  absl::StatusOr<Celsius> Read(Monotonic at) override { return board_->Temperature(at); }

 private:
  EmulatedBoard* board_;
  std::string name_ = "emulated thermometer";
};

class EmulatedBatteryGauge final : public BatteryGauge {
 public:
  explicit EmulatedBatteryGauge(EmulatedBoard* board) : board_(board) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] Fraction error() const override { return Fraction(0.01); }
  absl::StatusOr<BatteryReading> Read(Monotonic at) override {
    BatteryReading reading = {.state_of_charge = board_->StateOfCharge(at),
                              .capacity = board_->physics().battery_capacity};
    reading.draw = board_->Power(at) - board_->physics().harvest;
    reading.charging = *reading.draw < Watts(0);
    return reading;
  }

 private:
  EmulatedBoard* board_;
  std::string name_ = "emulated battery";
};

}  // namespace

double SeededNormal(uint64_t seed, uint64_t index) {
  const double a = UnitOf(Mix(seed ^ Mix(2 * index)));
  const double b = UnitOf(Mix(seed ^ Mix(2 * index + 1)));
  return std::sqrt(-2.0 * std::log(a)) * std::cos(2.0 * M_PI * b);
}

double HiddenFactor(uint64_t seed, const std::string& purpose, double range) {
  uint64_t bits = Mix(seed);
  for (const char c : purpose) {
    bits = Mix(bits ^ static_cast<unsigned char>(c));
  }
  return 1.0 + range * (2.0 * UnitOf(bits) - 1.0);
}

Monotonic EndOfWork(const std::optional<ThrottlingDips>& dips, Monotonic begin,
                    absl::Duration nominal) {
  if (!dips || dips->speed >= 1.0) {
    return begin + nominal;
  }
  // Rates relative to the mean, so that whole periods take their nominal time.
  const double mean = 1.0 - dips->share() * (1.0 - dips->speed);
  const double high_rate = 1.0 / mean;
  const double dip_rate = dips->speed / mean;
  const absl::Duration dip_begin = dips->period - dips->length;
  Monotonic at = begin;
  while (nominal > absl::ZeroDuration()) {
    const absl::Duration offset = Offset(*dips, at);
    const bool in_dip = offset >= dip_begin;
    const absl::Duration left = (in_dip ? dips->period : dip_begin) - offset;
    const double rate = in_dip ? dip_rate : high_rate;
    const absl::Duration done = left * rate;
    if (done >= nominal || left <= absl::ZeroDuration()) {
      return at + nominal / rate;
    }
    nominal -= done;
    at = at + left;
  }
  return at;
}

EmulatedBoard::EmulatedBoard(const EmulatedPhysics& physics, Monotonic start)
    : physics_(physics), start_(start), now_(start) {
  segments_.push_back({start, std::nullopt});
  temperature_ = physics.ambient +
                 Celsius(physics.kelvin_per_watt * (physics.idle * physics.power_factor).value());
  charge_ = physics.battery_capacity.value_or(Joules(0)) * physics.state_of_charge.value();
}

void EmulatedBoard::SetLoad(Monotonic from, std::optional<EmulatedLoad> load) {
  from = std::max(from, now_);
  while (segments_.size() > 1 && segments_.back().from >= from) {
    segments_.pop_back();
  }
  segments_.push_back({from, load});
}

Watts EmulatedBoard::PowerIn(const Segment& segment, Monotonic at) const {
  Watts power = physics_.idle;
  if (segment.load) {
    power = segment.load->mean;
    if (segment.load->dips) {
      const ThrottlingDips& dips = *segment.load->dips;
      const bool in_dip = Offset(dips, at) >= dips.period - dips.length;
      power = in_dip ? dips.power : HighPower(*segment.load);
    }
  }
  return power * physics_.power_factor;
}

void EmulatedBoard::Pass(absl::Duration length, Watts power) {
  energy_ += power * length;
  if (physics_.battery_capacity) {
    charge_ += (physics_.harvest - power) * length;
    charge_ = std::clamp(charge_, Joules(0), *physics_.battery_capacity);
  }
  const Celsius steady = physics_.ambient + Celsius(physics_.kelvin_per_watt * power.value());
  const double kept = std::exp(-absl::FDivDuration(length, physics_.thermal_time_constant));
  temperature_ = steady + (temperature_ - steady) * kept;
}

void EmulatedBoard::AdvanceTo(Monotonic at) {
  while (now_ < at) {
    while (segments_.size() > 1 && segments_[1].from <= now_) {
      segments_.pop_front();
    }
    const Segment& segment = segments_.front();
    Monotonic end = segments_.size() > 1 ? std::min(at, segments_[1].from) : at;
    if (segment.load && segment.load->dips) {
      // Stop where the dip begins or ends: power is constant in between.
      const ThrottlingDips& dips = *segment.load->dips;
      const absl::Duration offset = Offset(dips, now_);
      const absl::Duration dip_begin = dips.period - dips.length;
      const absl::Duration left = (offset >= dip_begin ? dips.period : dip_begin) - offset;
      end = std::min(end, now_ + std::max(left, absl::Nanoseconds(1)));
    }
    Pass(end - now_, PowerIn(segment, now_));
    now_ = end;
  }
  while (segments_.size() > 1 && segments_[1].from <= now_) {
    segments_.pop_front();
  }
}

Watts EmulatedBoard::Power(Monotonic at) {
  AdvanceTo(at);
  return PowerIn(segments_.front(), now_);
}

Celsius EmulatedBoard::Temperature(Monotonic at) {
  AdvanceTo(at);
  return temperature_;
}

Joules EmulatedBoard::Energy(Monotonic at) {
  AdvanceTo(at);
  return energy_;
}

Fraction EmulatedBoard::StateOfCharge(Monotonic at) {
  WATTLE_CHECK(physics_.battery_capacity.has_value(), "only a board with a battery has a charge");
  AdvanceTo(at);
  return Fraction(charge_ / *physics_.battery_capacity);
}

std::unique_ptr<PowerSensor> EmulatedBoard::MakePowerSensor() {
  return std::make_unique<EmulatedPowerSensor>(this);
}
std::unique_ptr<Thermometer> EmulatedBoard::MakeThermometer() {
  return std::make_unique<EmulatedThermometer>(this);
}
std::unique_ptr<BatteryGauge> EmulatedBoard::MakeBatteryGauge() {
  return physics_.battery_capacity ? std::make_unique<EmulatedBatteryGauge>(this) : nullptr;
}

}  // namespace wattle::telemetry
