// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/board.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/time/time.h"

namespace wattle::sim {
namespace {

// The sun is constant over this share of a day.
constexpr double kSliceShare = 0.01;
// Share of its speed that a throttled board keeps at its lowest clocks.
constexpr double kSlowestShare = 0.05;
constexpr double kHourSeconds = 3600.0;

// A loose wire: a rail that flaps comes and goes twice a second.
constexpr double kFlapSeconds = 0.5;
// More than a board could draw in the longest time between two readings of a live worker.
constexpr Joules kAbsurd(1e12);

constexpr size_t kEnergyChannel = 0;
constexpr size_t kThermometerChannel = 1;
constexpr size_t kGaugeChannel = 2;

// 1 at noon, 0 from six in the evening to six in the morning.
double Sun(const BoardSettings& settings, double at_seconds) {
  return std::max(
      0.0, std::cos(2.0 * M_PI * (at_seconds - settings.noon_seconds) / settings.day_seconds));
}

}  // namespace

Board::Board(const BoardSettings& settings)
    : settings_(settings),
      work_power_(settings.work),
      ambient_(settings.heat.air),
      own_pack_{.capacity = settings.battery,
                .charge = settings.battery.value_or(Joules(0)) * settings.charge.value()},
      shared_(settings.shared_pack.get()) {}

void Board::JoinPack() {
  if (shared_ != nullptr) {
    shared_->boards.push_back(this);
  }
}

Watts Board::power() const {
  if (!powered_) {
    return Watts(0);
  }
  return working_ ? WorkPower() : settings_.idle;
}

Watts Board::WorkPower() const {
  const TrueHeat& heat = settings_.heat;
  if (!heat.throttle || temperature_ < *heat.throttle) {
    return work_power_;
  }
  const Watts holds((*heat.throttle - ambient_).value() / heat.kelvin_per_watt);
  const Watts slowest = settings_.idle + (work_power_ - settings_.idle) * kSlowestShare;
  return std::clamp(holds, std::min(slowest, work_power_), work_power_);
}

double Board::slower_by() const {
  const Watts above_idle = WorkPower() - settings_.idle;
  const double by_heat = above_idle > Watts(0) ? (work_power_ - settings_.idle) / above_idle : 1.0;
  return SlowerBy(settings_.speed, now_seconds_, temperature_) * by_heat;
}

Fraction Board::charge() const {
  return settings_.battery ? Fraction(pack().charge / *settings_.battery) : Fraction(1.0);
}

Joules Board::lost_sun() const {
  return shared_ == nullptr || shared_->boards.front() == this ? pack().lost_sun : Joules(0);
}

void Board::AdvanceTo(double at_seconds) {
  Board* const alone[] = {this};
  AdvanceTogether(shared_ == nullptr ? absl::MakeConstSpan(alone) : shared_->boards, pack(),
                  at_seconds);
}

void Board::AdvanceTogether(absl::Span<Board* const> boards, TruePack& pack, double at_seconds) {
  Board& first = *boards.front();
  while (first.now_seconds_ < at_seconds) {
    const double end =
        std::min(at_seconds, first.now_seconds_ + kSliceShare * first.settings_.day_seconds);
    const double seconds = end - first.now_seconds_;
    Joules drawn(0);
    for (Board* const board : boards) {
      drawn += board->Draw(seconds);
    }
    if (pack.capacity && !pack.on_mains) {
      pack.Pass(first.harvest() * absl::Seconds(seconds), drawn);
      for (Board* const board : boards) {
        board->CountBreaches();
      }
    }
    for (Board* const board : boards) {
      board->Warm(seconds);
      board->now_seconds_ = end;
    }
  }
}

PackMoment Board::PackAt(double at_seconds) const {
  if (shared_ == nullptr) {
    Board board = *this;
    board.AdvanceTo(at_seconds);
    return {.charge = board.charge(), .sun = board.harvest()};
  }
  SharedPack ahead{.pack = shared_->pack};
  std::vector<Board> boards;
  boards.reserve(shared_->boards.size());
  for (const Board* const board : shared_->boards) {
    boards.push_back(*board);
    boards.back().shared_ = &ahead;
    ahead.boards.push_back(&boards.back());
  }
  boards.front().AdvanceTo(at_seconds);
  return {.charge = boards.front().charge(), .sun = boards.front().harvest()};
}

Watts Board::harvest() const {
  if (settings_.sun_watts != nullptr) {
    const double hour = (now_seconds_ - settings_.sun_begins_seconds) / kHourSeconds;
    return hour >= 0.0 && hour < static_cast<double>(settings_.sun_watts->size())
               ? Watts((*settings_.sun_watts)[static_cast<size_t>(hour)] * sun_share_)
               : Watts(0);
  }
  return settings_.harvest_peak * (Sun(settings_, now_seconds_) * sun_share_);
}

Joules Board::Draw(double seconds) {
  const Joules drawn = power() * absl::Seconds(seconds);
  energy_ = energy_ + drawn;
  powered_seconds_ += powered_ ? seconds : 0.0;
  if (powered_ && working_) {
    work_energy_ = work_energy_ + drawn;
    working_seconds_ += seconds;
  }
  return drawn;
}

void Board::Warm(double seconds) {
  const double target = ambient_.value() + settings_.heat.kelvin_per_watt * power().value();
  const double share = 1.0 - std::exp(-seconds / settings_.heat.time_constant_seconds);
  temperature_ = Celsius(temperature_.value() + (target - temperature_.value()) * share);
}

void Board::CountBreaches() {
  const bool below = powered_ && working_ && charge() < settings_.reserve;
  reserve_breaches_ += below && !below_reserve_ ? 1 : 0;
  below_reserve_ = below;
}

void Board::Recharge() {
  pack().on_mains = true;
  pack().charge = settings_.battery.value_or(Joules(0));
}

telemetry::SourceInfo Board::Sensors() const {
  telemetry::SourceInfo info;
  info.name = "simulated";
  info.energy_source = v1::ENERGY_SOURCE_INA3221;
  info.scope = "module";
  info.gauge_error = settings_.gauge_error;
  info.channels.resize(settings_.battery ? 3 : 2);
  info.channels[kEnergyChannel].in_total = true;
  info.channels[kThermometerChannel].thermometer = true;
  info.channels[kThermometerChannel].throttles_at = settings_.heat.throttle;
  if (settings_.battery) {
    info.channels[kGaugeChannel].gauge = true;
  }
  return info;
}

Watts Board::PowerFromPack() const {
  if (shared_ == nullptr) {
    return power();
  }
  Watts sum(0);
  for (const Board* const board : shared_->boards) {
    sum += board->power();
  }
  return sum;
}

telemetry::ChargeState Board::ReadGauge() {
  telemetry::ChargeState state;
  state.capacity = settings_.battery;
  state.discharging = !pack().on_mains && PowerFromPack() > harvest();
  if (!sensors.gauge_stuck) {
    told_charge_ = sensors.gauge_says.value_or(
        Fraction(std::clamp(charge().value() + settings_.gauge_bias, 0.0, 1.0)));
    if (std::exchange(sensors.gauge_sags, false)) {
      told_charge_ = Fraction(0.0);
    }
  }
  state.state_of_charge = told_charge_;
  return state;
}

std::optional<Joules> Board::ReadRail() {
  const bool away = sensors.rail_flaps && std::fmod(now_seconds_, kFlapSeconds) < kFlapSeconds / 2;
  if (sensors.rail_gone || away) {
    return std::nullopt;
  }
  told_energy_ = sensors.rail_stuck ? told_energy_ : energy_;
  if (!sensors.rail_absurd) {
    return told_energy_;
  }
  // Too high, too low, and not a number, in turn.
  switch (++absurd_readings_ % 3) {
    case 0:
      return Joules(std::numeric_limits<double>::quiet_NaN());
    case 1:
      return told_energy_ + kAbsurd;
    default:
      return told_energy_ - kAbsurd;
  }
}

std::vector<telemetry::Reading> Board::Read(Monotonic now) {
  std::vector<telemetry::Reading> readings;
  if (const std::optional<Joules> told = ReadRail()) {
    readings.push_back({kEnergyChannel, telemetry::EnergyCount{.value = *told}, now});
  }
  if (!sensors.thermometer_silent) {
    readings.push_back({kThermometerChannel, temperature_, now});
  }
  if (settings_.battery && (!sensors.gauge_silent || sensors.gauge_stuck)) {
    readings.push_back({kGaugeChannel, ReadGauge(), now});
  }
  return readings;
}

}  // namespace wattle::sim
