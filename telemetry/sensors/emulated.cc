// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/emulated.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace wattle::telemetry {
namespace {

// Finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): every input bit changes every output
// bit.
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

// Position inside the current dip period, from 0. The dip is at the end of the period.
absl::Duration Offset(const ThrottlingDips& dips, Monotonic at) {
  absl::Duration remainder;
  absl::IDivDuration(at.since_boot(), dips.period, &remainder);
  return remainder;
}

// Power outside the dips. The mean over a period is then the load's.
Watts HighPower(const EmulatedLoad& load) {
  const double share = load.dips->share();
  return (load.mean - load.dips->power * share) / (1.0 - share);
}

// Largest number of samples to catch up with. After the machine slept, the samples of the gap are
// not invented.
constexpr int kCatchUpMax = 50'000;

class EmulatedSource final : public Source {
 public:
  EmulatedSource(EmulatedBoard* board, Monotonic start) : board_(board), next_(start) {
    const EmulatedPhysics& physics = board_->physics();
    info_ = {.name = "emulated",
             .cadence = physics.refresh_period,
             .energy_source = v1::ENERGY_SOURCE_EMULATED,
             .scope = "module",
             .rank = 0,
             .gauge_error = Fraction(0.01)};
    info_.channels = {{.name = "VDD_IN",
                       .metric = "wattle_rail_power_watts",
                       .help = "Power of one rail, latest sample.",
                       .in_total = true},
                      {.name = "board",
                       .metric = "wattle_zone_temperature_celsius",
                       .help = "Temperature of one thermal zone.",
                       .thermometer = true},
                      {.name = "board",
                       .metric = "wattle_throttled",
                       .help = "1 while the device has lowered its clocks."}};
    if (physics.battery_capacity) {
      info_.channels.push_back({.name = "battery",
                                .metric = "wattle_battery_charge_ratio",
                                .help = "State of charge of one battery, 0 to 1.",
                                .gauge = true});
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    std::vector<Reading> readings;
    if (now - next_ > kCatchUpMax * info_.cadence) {
      next_ = now;
    }
    for (; next_ <= now; next_ = next_ + info_.cadence) {
      const EmulatedPhysics& physics = board_->physics();
      const double noise = 1.0 + physics.noise_ratio * SeededNormal(physics.seed, reading_++);
      readings.push_back({0, board_->Power(next_) * noise, next_});
    }
    readings.push_back({1, board_->Temperature(now), now});
    readings.push_back({2, Throttling{board_->Throttled(now)}, now});
    if (board_->physics().battery_capacity) {
      ChargeState charge = {.state_of_charge = board_->StateOfCharge(now),
                            .capacity = board_->physics().battery_capacity};
      charge.draw = board_->Power(now) - board_->physics().harvest;
      charge.charging = *charge.draw < Watts(0);
      readings.push_back({3, charge, now});
    }
    return readings;
  }

 private:
  EmulatedBoard* board_;
  Monotonic next_;  // the next power reading's time
  SourceInfo info_;
  uint64_t reading_ = 0;
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
      // Stops where a dip begins or ends, because power is constant in between.
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

bool EmulatedBoard::Throttled(Monotonic at) {
  AdvanceTo(at);
  const std::optional<EmulatedLoad>& load = segments_.front().load;
  return load && load->dips && Offset(*load->dips, now_) >= load->dips->period - load->dips->length;
}

std::unique_ptr<Source> EmulatedBoard::MakeSource() {
  return std::make_unique<EmulatedSource>(this, now_);
}

}  // namespace wattle::telemetry
