// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/meter/energy_meter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/fault_point.h"

namespace wattle::telemetry {
namespace {

constexpr absl::Duration kGapMin = absl::Milliseconds(2500);
constexpr int kGapCadences = 3;
constexpr absl::Duration kCounterPatience = absl::Minutes(1);
// An INA3221 on an idle rail sometimes shows a few milliwatts below zero; these count as zero. A
// lower value means a sensor that is wired or read wrongly.
constexpr Watts kBelowZeroMax(1.0);
// The spread of a load covers about its last 16 samples: with more, a load that rises would look
// like one that flickers. Samples that beat with the load are worth an eighth of independent ones.
// For a 1 Hz square wave sampled once a second with a fifth of jitter, the autocorrelation is 0.77,
// and (1 + 0.77) / (1 - 0.77) is 7.7.
constexpr double kSpreadSamples = 16;
constexpr double kSamplesAsOne = 8;

}  // namespace

EnergyMeter::EnergyMeter(const MeterSettings& settings, Monotonic start)
    : settings_(settings), settled_(start) {}

void EnergyMeter::Switch(const MeterSettings& settings) {
  settings_ = settings;
  switched_ = true;
  counts_ = false;
  last_counters_.clear();
  still_.clear();
}

absl::Duration EnergyMeter::patience() const {
  return counts_ ? kCounterPatience : std::max(kGapCadences * settings_.cadence, kGapMin);
}

std::vector<absl::Duration> EnergyMeter::Pieces(Monotonic at,
                                                absl::Span<const Monotonic> marks) const {
  std::vector<absl::Duration> lengths;
  lengths.reserve(marks.size() + 1);
  Monotonic from = settled_;
  for (const Monotonic mark : marks) {
    const Monotonic to = std::clamp(mark, from, at);
    lengths.push_back(to - from);
    from = to;
  }
  lengths.push_back(at - from);
  return lengths;
}

std::vector<EnergyIncrement> EnergyMeter::Missing(Monotonic at, absl::Span<const Monotonic> marks) {
  std::vector<EnergyIncrement> increments;
  for (const absl::Duration length : Pieces(at, marks)) {
    increments.push_back(WATTLE_FAULT_POINT("silence is measured")
                             ? EnergyIncrement{.covered = length}
                             : EnergyIncrement{.missing = length});
  }
  return increments;
}

void EnergyMeter::Describe(EnergyIncrement* increment, absl::Duration length) const {
  increment->covered = length;
  increment->error += settings_.error_ratio * increment->measured + settings_.error_floor * length;
}

std::vector<EnergyIncrement> EnergyMeter::GiveUp(Monotonic at, absl::Span<const Monotonic> marks) {
  if (at <= settled_) {
    return {};
  }
  std::vector<EnergyIncrement> increments = Missing(at, marks);
  settled_ = at;
  contiguous_ = false;
  last_power_.reset();
  if (!last_counters_.empty()) {
    still_ = std::exchange(last_counters_, {});
  }
  return increments;
}

std::vector<EnergyIncrement> EnergyMeter::AddPower(Monotonic at, Watts power,
                                                   absl::Span<const Monotonic> marks) {
  if (at < settled_ || (contiguous_ && at == settled_)) {
    return {};
  }
  if (!std::isfinite(power.value()) || power > settings_.plausible_max || power < -kBelowZeroMax) {
    ++implausible_readings_;
    return {};
  }
  power = std::max(power, Watts(0));
  counts_ = false;
  std::vector<EnergyIncrement> increments;
  // A longer interval may hide any load, so its energy is missing instead of interpolated.
  if (at - settled_ > std::max(kGapCadences * settings_.cadence, kGapMin)) {
    increments = Missing(at, marks);
  } else {
    // If there was no reading at settled_, the new reading's power counts back to it.
    const Watts before = contiguous_ && last_power_ ? *last_power_ : power;
    const double step_watts = (power - before).value();
    // The trapezoid rule assumes a gradual change. A mark or another source means a sudden one, so
    // each side keeps its own reading's power.
    const bool slope = marks.empty() && !switched_;
    const std::vector<absl::Duration> lengths = Pieces(at, marks);
    for (size_t i = 0; i < lengths.size(); ++i) {
      Watts mean = 0.5 * (before + power);
      if (!slope && lengths.size() > 1) {
        mean = i == 0 ? before : i + 1 == lengths.size() ? power : mean;
      }
      EnergyIncrement& increment = increments.emplace_back();
      increment.measured = mean * lengths[i];
      increment.peak = std::max(mean, slope ? std::max(before, power) : mean);
      const double seconds = absl::ToDoubleSeconds(lengths[i]);
      // Squared seconds, because the error of the mean power is the same over the whole piece.
      increment.variance = HiddenVariance(step_watts) * seconds * seconds;
      Describe(&increment, lengths[i]);
    }
  }
  increments.back().samples = 1;
  // Samples from before a change of the load would count the step itself as noise of the new load.
  if (!marks.empty() || !contiguous_ || switched_) {
    spread_ = {.mean = power};
  }
  spread_.Add(power);
  settled_ = at;
  contiguous_ = true;
  switched_ = false;
  last_power_ = power;
  return increments;
}

void EnergyMeter::Spread::Add(Watts power) {
  const double difference = (power - mean).value();
  mean += (power - mean) / kSpreadSamples;
  // Exponentially weighted variance, updated by one sample.
  variance = (1 - 1 / kSpreadSamples) * (variance + difference * difference / kSpreadSamples);
}

// Variance, in W², of the mean power between two samples about the samples' own mean.
double EnergyMeter::HiddenVariance(double step_watts) const {
  if (settings_.averages) {
    // An averaging sensor misses nothing between two values. Only the moment of the change is
    // unknown; it is uniform over the interval, which gives step² / 12.
    return step_watts * step_watts / 12;
  }
  // Half the squared difference is the variance of two independent samples. Samples of a load that
  // beats with the sampling change slowly, so several of them count as one.
  return kSamplesAsOne * std::max(spread_.variance, step_watts * step_watts / 2 / kSamplesAsOne);
}

std::optional<Joules> EnergyMeter::Difference(absl::Span<const CounterValue> counters,
                                              absl::Duration length) const {
  const Joules most = settings_.plausible_max * length;
  Joules sum;
  for (size_t i = 0; i < counters.size(); ++i) {
    Joules difference = counters[i].value - last_counters_[i].value;
    // A counter that fell has wrapped at its modulus; with an unknown modulus of 0 it stays
    // negative and counts as a reset.
    if (difference < Joules(0)) {
      difference += counters[i].modulus;
    }
    if (!(difference >= Joules(0)) || (difference > most && !WATTLE_FAULT_POINT("absurd watts"))) {
      return std::nullopt;
    }
    sum += difference;
  }
  return sum <= most || WATTLE_FAULT_POINT("absurd watts") ? std::optional<Joules>(sum)
                                                           : std::nullopt;
}

std::vector<EnergyIncrement> EnergyMeter::AddCounters(Monotonic at,
                                                      absl::Span<const CounterValue> counters,
                                                      absl::Span<const Monotonic> marks) {
  const bool finite = std::all_of(counters.begin(), counters.end(), [](const CounterValue& each) {
    return std::isfinite(each.value.value());
  });
  if (!finite || counters.empty()) {
    ++implausible_readings_;
    return {};
  }
  if (at < settled_ || (contiguous_ && at == settled_)) {
    return {};
  }
  counts_ = true;
  const bool known = contiguous_ && last_counters_.size() == counters.size();
  if (!known && still_.empty()) {
    still_.assign(counters.begin(), counters.end());
  }
  // The counter's next step also contains the joules from before this reading.
  if (!known &&
      std::equal(counters.begin(), counters.end(), still_.begin(), still_.end(),
                 [](const CounterValue& a, const CounterValue& b) { return a.value == b.value; })) {
    return {};
  }
  const std::optional<Joules> difference =
      known ? Difference(counters, at - settled_) : std::nullopt;
  if (known && !difference) {
    ++implausible_readings_;
  }
  // A counter that stands still is coarse or stuck: its joules are unknown until it moves.
  if (difference == Joules(0) && !WATTLE_FAULT_POINT("equal value trusted")) {
    // After an absurd step the counter may be back at the value at which it was stuck.
    if (after_absurd_step_) {
      still_ = std::exchange(last_counters_, {});
      contiguous_ = false;
    }
    return {};
  }
  std::vector<EnergyIncrement> increments;
  if (!difference) {
    // The first step after an unknown time has the joules of all of it.
    increments = Missing(at, marks);
    last_power_.reset();
  } else {
    const Watts mean = *difference / (at - settled_);
    const std::vector<absl::Duration> lengths = Pieces(at, marks);
    // The first piece keeps the former power as far as the counter allows; the rest is even.
    Joules left = *difference;
    absl::Duration time_left = at - settled_;
    for (size_t i = 0; i < lengths.size(); ++i) {
      Joules joules = left;
      if (i + 1 < lengths.size()) {
        joules = i == 0 && last_power_ ? std::min(left, *last_power_ * lengths[i])
                                       : left * absl::FDivDuration(lengths[i], time_left);
      }
      EnergyIncrement& increment = increments.emplace_back();
      increment.measured = joules;
      increment.peak = lengths[i] > absl::ZeroDuration() ? joules / lengths[i] : Watts(0);
      if (lengths[i] > absl::ZeroDuration() && lengths[i] < at - settled_) {
        // The joules may belong to either side of a mark.
        increment.error = std::max(joules, *difference - joules);
      }
      Describe(&increment, lengths[i]);
      left = std::max(left - joules, Joules(0));
      time_left -= lengths[i];
    }
    // A short last piece is too uncertain for the new power.
    last_power_ = 2 * lengths.back() > at - settled_ ? *increments.back().peak : mean;
  }
  increments.back().samples = 1;
  settled_ = at;
  contiguous_ = true;
  switched_ = false;
  last_counters_.assign(counters.begin(), counters.end());
  after_absurd_step_ = known && !difference;
  return increments;
}

}  // namespace wattle::telemetry
