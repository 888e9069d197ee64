// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The charge counter against the truth: batteries that sag under load, relax slowly, hold more or
// less than their label states, and are measured by inaccurate meters, over random days of sun and
// load, with restarts of the worker.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <random>

#include "gtest/gtest.h"

#include "telemetry/battery/charge_counter.h"
#include "telemetry/sensors/voltage_curve.h"

namespace wattle::telemetry {
namespace {

// The curve's own inverse: volts of a cell at rest.
class RestVolts {
 public:
  explicit RestVolts(Chemistry chemistry) {
    for (double volts = 1.5; volts < 4.5; volts += 1e-4) {
      const auto at = static_cast<size_t>(kSteps * ChargeAtRest(chemistry, volts).value());
      for (; next_ <= at && next_ <= kSteps; ++next_) {
        volts_[next_] = volts;
      }
      if (at == 0) {
        volts_[0] = volts;  // the highest voltage of an empty cell
      }
    }
  }
  double operator()(double charge) const {
    const double at = charge * kSteps;
    const auto below = std::min(static_cast<size_t>(at), kSteps - 1);
    return volts_[below] + (at - static_cast<double>(below)) * (volts_[below + 1] - volts_[below]);
  }

 private:
  static constexpr size_t kSteps = 2000;
  std::array<double, kSteps + 1> volts_{};
  size_t next_ = 0;
};

struct Battery {
  RestVolts rest_volts;
  double cells;
  double label_ampere_hours;
  double capacity_share;  // of the label
  double ohms;            // at once
  double slow_ohms;       // after minutes
  absl::Duration slow;    // time constant
  double curve_volts;     // of a cell: its curve lies above the table's by this
  double charge_loss;
  double meter_gain;
  double meter_offset_amperes;

  double charge;
  double slow_volts = 0;

  // amperes: out of the battery. Returns the real current.
  double Pass(double amperes, double seconds) {
    if (charge >= 1) {
      amperes = std::max(amperes, 0.0);  // the charger stops
    }
    if (charge <= 0) {
      amperes = std::min(amperes, 0.0);
    }
    const double stored = amperes < 0 ? amperes * (1 - charge_loss) : amperes;
    charge = std::clamp(charge - stored * seconds / 3600 / (label_ampere_hours * capacity_share),
                        0.0, 1.0);
    slow_volts +=
        (amperes * slow_ohms - slow_volts) * (1 - std::exp(-seconds / absl::ToDoubleSeconds(slow)));
    return amperes;
  }
  double Volts(double amperes) const {
    return cells * (rest_volts(charge) + curve_volts) - amperes * ohms - slow_volts;
  }
};

struct Outcome {
  double counted_error = 0;  // mean of |told - truth|
  double voltage_error = 0;
  double stated_error = 0;  // mean
  double worst_excess = 0;  // of |told - truth| over the stated error
};

// Simulates ten days with a reading every five seconds.
Outcome RunDays(Chemistry chemistry, unsigned seed, bool bound_by_voltage = true) {
  std::mt19937 random(seed);
  const auto between = [&random](double low, double high) {
    return low + (high - low) * (static_cast<double>(random()) / 4294967296.0);
  };
  const double cells = chemistry == Chemistry::kLead         ? 6
                       : chemistry == Chemistry::kLithiumIon ? 3
                                                             : 4;
  const double slow_minutes = chemistry == Chemistry::kLead ? 45 : 6;
  Battery battery = {
      .rest_volts = RestVolts(chemistry),
      .cells = cells,
      .label_ampere_hours = 10,
      .capacity_share = between(0.9, 1.1),
      .ohms = between(0.03, 0.10),
      .slow_ohms = chemistry == Chemistry::kLead ? between(0.1, 0.25) : between(0.02, 0.08),
      .slow = absl::Minutes(slow_minutes),
      .curve_volts = between(-0.012, 0.012),
      .charge_loss = chemistry == Chemistry::kLead ? between(0.02, 0.18) : between(0, 0.018),
      .meter_gain = between(0.985, 1.015),
      .meter_offset_amperes = between(-0.003, 0.003),
      .charge = between(0.3, 0.95)};
  // The label in watt-hours, by the mean voltage of the curve.
  double mean_volts = 0;
  for (int i = 0; i < 1000; ++i) {
    mean_volts += battery.rest_volts((i + 0.5) / 1000) / 1000;
  }
  const BatteryPack pack = {
      .chemistry = chemistry, .cells = cells, .capacity = FromWattHours(10 * mean_volts * cells)};
  ChargeCounter counter;
  Outcome outcome;
  double load = 0.2;
  double clouds = 1;
  int readings = 0;
  constexpr double kStep = 5;
  for (double seconds = 0; seconds < 10 * 86400; seconds += kStep) {
    const double hour = std::fmod(seconds / 3600, 24);
    if (random() % 360 == 0) {  // steps of load, twice an hour: idle, or a job
      load = random() % 2 == 0 ? 0.2 : between(0.5, 3);
    }
    if (random() % 240 == 0) {
      clouds = between(0.1, 1);
    }
    if (battery.charge < 0.1) {
      load = 0.1;
    }
    const double sun = std::max(0.0, std::sin((hour - 6) / 12 * M_PI)) * clouds * 4;
    const double amperes = battery.Pass(load - sun, kStep);
    if (random() % 20000 == 0) {  // the worker restarts, and is away for up to five minutes
      ChargeCounter fresh;
      fresh.Resume(*counter.standing());
      counter = fresh;
      const double away = between(5, 300);
      battery.Pass(amperes, away);
      seconds += away;
    }
    const double read = amperes * battery.meter_gain + battery.meter_offset_amperes;
    const auto charge = ChargeFromVoltage(pack, battery.Volts(amperes), read, 0);
    if (!charge.ok()) {
      ADD_FAILURE() << charge.status() << ", seed " << seed;
      return outcome;
    }
    const VoltageBounds& bounds = *charge->by_voltage;
    const CountedCharge told =
        counter.Add({.at = Monotonic(absl::Seconds(seconds + kStep)),
                     .source = "ina219",
                     .capacity = *pack.capacity,
                     .drain = bounds.drain,
                     .rest_drain = RestDrain(*pack.capacity),
                     .low = bound_by_voltage || seconds == 0 ? bounds.low : Fraction(0),
                     .high = bound_by_voltage || seconds == 0 ? bounds.high : Fraction(1),
                     .rest_time = bounds.rest_time,
                     .charge_loss = bounds.charge_loss});
    ++readings;
    const double off = std::abs(told.state_of_charge.value() - battery.charge);
    outcome.counted_error += off;
    outcome.stated_error += told.error.value();
    outcome.voltage_error += std::abs(charge->state_of_charge.value() - battery.charge);
    outcome.worst_excess = std::max(outcome.worst_excess, off - told.error.value());
  }
  outcome.counted_error /= readings;
  outcome.stated_error /= readings;
  outcome.voltage_error /= readings;
  return outcome;
}

constexpr Chemistry kChemistries[] = {Chemistry::kLithiumIon, Chemistry::kLithiumIronPhosphate,
                                      Chemistry::kLead};

TEST(CountedChargeTest, TheTruthIsWithinTheStatedErrorOverRandomDays) {
  for (const Chemistry chemistry : kChemistries) {
    Outcome sum;
    constexpr unsigned kRuns = 10;
    for (unsigned seed = 1; seed <= kRuns; ++seed) {
      const Outcome outcome = RunDays(chemistry, seed);
      EXPECT_LE(outcome.worst_excess, 1e-9)
          << "chemistry " << static_cast<int>(chemistry) << ", seed " << seed;
      sum.counted_error += outcome.counted_error / kRuns;
      sum.voltage_error += outcome.voltage_error / kRuns;
      sum.stated_error += outcome.stated_error / kRuns;
    }
    std::printf("chemistry %d: mean error %.3f (the voltage alone %.3f), stated %.3f\n",
                static_cast<int>(chemistry), sum.counted_error, sum.voltage_error,
                sum.stated_error);
    EXPECT_LT(sum.counted_error, 0.75 * sum.voltage_error);
  }
}

// The voltage is necessary: without it the error of the count grows until the count is useless.
TEST(CountedChargeTest, WithoutTheVoltageTheCountDriftsAway) {
  const Outcome bounded = RunDays(Chemistry::kLithiumIon, 3);
  const Outcome alone = RunDays(Chemistry::kLithiumIon, 3, /*bound_by_voltage=*/false);
  EXPECT_GT(alone.stated_error, 2 * bounded.stated_error);
}

}  // namespace
}  // namespace wattle::telemetry
