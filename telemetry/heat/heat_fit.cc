// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/heat/heat_fit.h"

#include <algorithm>
#include <cmath>

namespace wattle::telemetry {
namespace {

constexpr double kFastestSeconds = 10.0;
constexpr double kNextFilter = 1.3;
// Window of the means that remove the air's temperature: short enough to follow a morning, and
// longer than a board takes to warm up.
constexpr double kMeanSeconds = 3600.0;
// The watts before the first sample are unknown. After this time they no longer affect most boards.
constexpr absl::Duration kSettleTime = absl::Minutes(20);
// After this many seconds of changing watts a sample's weight has fallen to a third, so that a
// dusty fan shows within days.
constexpr double kMemorySeconds = 86400.0;
// A sample has half its weight if the watts are this far from their mean, because a board at rest
// shows nothing.
constexpr double kHalfWeightWatts = 1.0;
constexpr double kWeightMin = 0.02;
constexpr double kFitSeconds = 300.0;
// Two stages always explain a little more than one, in particular two that are nearly equal.
constexpr double kClearlyLess = 0.5;
constexpr size_t kApart = 5;  // filters
// A board's K/W is reported once its relative deviation is at most this, after samples of a few
// time constants.
constexpr double kDeviationMax = 0.1;
constexpr double kTimeConstantsMin = 2.0;
constexpr double kSecondsMin = 600.0;
// Errors of neighbouring samples are correlated over this time.
constexpr double kErrorSeconds = 60.0;
constexpr double kKelvinPerWattMin = 0.05;
constexpr double kKelvinPerWattMax = 100.0;
constexpr double kErrorKelvinMax = 10.0;
constexpr double kStageShareMin = 0.05;
// A thermometer is stuck if the model expects a move of this much and of three times the model's
// error.
constexpr double kStuckKelvin = 3.0;
// Smaller changes of the figures are noise and are not reported.
constexpr double kAmbientNoiseKelvin = 0.5;
constexpr double kErrorNoiseKelvin = 0.3;
constexpr double kNoiseShare = 0.03;

// Largest relative difference between a kept time constant and a filter's.
constexpr double kSameFilter = 0.01;

double SecondsOf(size_t filter) {
  return kFastestSeconds * std::pow(kNextFilter, static_cast<double>(filter));
}

double Square(double value) {
  return value * value;
}

bool IsNoise(const FittedHeat& before, const FittedHeat& now) {
  if (before.stages.size() != now.stages.size() ||
      std::abs((before.ambient - now.ambient).value()) > kAmbientNoiseKelvin ||
      std::abs(before.error_kelvin - now.error_kelvin) > kErrorNoiseKelvin) {
    return false;
  }
  return std::equal(before.stages.begin(), before.stages.end(), now.stages.begin(),
                    [](const FittedStage& a, const FittedStage& b) {
                      return a.time_constant == b.time_constant &&
                             std::abs(a.kelvin_per_watt - b.kelvin_per_watt) <=
                                 kNoiseShare * a.kelvin_per_watt;
                    });
}

}  // namespace

void HeatFit::Restart(Monotonic at, Watts power, Celsius temperature) {
  last_ = at;
  restarted_ = at;
  // The filters start settled at the present watts; kSettleTime then lets the unknown past fade
  // before learning.
  watts_.fill(power.value());
  mean_seconds_ = 0.0;
  last_temperature_ = temperature;
  rise_at_move_ = FittedRise();
  stands_still_ = false;
}

void HeatFit::PassFilters(double seconds, double watts) {
  if (seconds != step_seconds_) {
    step_seconds_ = seconds;
    for (size_t i = 0; i < kFilters; ++i) {
      // The exact step of a first-order low-pass filter; expm1 keeps precision for short steps.
      step_share_[i] = -std::expm1(-seconds / SecondsOf(i));
    }
  }
  for (size_t i = 0; i < kFilters; ++i) {
    watts_[i] += (watts - watts_[i]) * step_share_[i];
  }
}

double HeatFit::FittedRise() const {
  double rise = 0.0;
  for (size_t i = 0; i < told_.stages; ++i) {
    rise += told_.kelvin_per_watt[i] * watts_[told_.filters[i]];
  }
  return rise;
}

bool HeatFit::StandsStill(Celsius temperature) {
  if (temperature != last_temperature_) {
    last_temperature_ = temperature;
    rise_at_move_ = FittedRise();
    return false;
  }
  return fitted_ &&
         std::abs(FittedRise() - rise_at_move_) > kStuckKelvin + 3.0 * fitted_->error_kelvin;
}

void HeatFit::Learn(double seconds, double kelvin) {
  // Subtracting sliding means removes the slowly changing air, which would otherwise correlate with
  // the watts of the day.
  mean_seconds_ = std::min(mean_seconds_ + seconds, kMeanSeconds);
  const double share = std::min(1.0, seconds / mean_seconds_);
  OfFilters over{};
  for (size_t i = 0; i < kFilters; ++i) {
    watts_mean_[i] += (watts_[i] - watts_mean_[i]) * share;
    over[i] = watts_[i] - watts_mean_[i];
  }
  kelvin_mean_ += (kelvin - kelvin_mean_) * share;
  const double over_kelvin = kelvin - kelvin_mean_;
  // Only changes of the watts carry information, so samples at the mean have no weight and do not
  // displace older ones.
  const double changing = Square(over[0]) / (Square(over[0]) + Square(kHalfWeightWatts));
  if (changing < kWeightMin) {
    return;
  }
  const double weight = changing * seconds;
  const double kept = 1.0 - std::min(1.0, weight / kMemorySeconds);
  for (size_t i = 0; i < kFilters; ++i) {
    for (size_t j = i; j < kFilters; ++j) {
      // Sums of the normal equations for all pairs of filters, so that every choice of stages can
      // be solved later without the samples.
      watts_watts_[i][j] = kept * watts_watts_[i][j] + weight * over[i] * over[j];
    }
    watts_kelvin_[i] = kept * watts_kelvin_[i] + weight * over[i] * over_kelvin;
  }
  kelvin_kelvin_ = kept * kelvin_kelvin_ + weight * Square(over_kelvin);
  weight_seconds_ = kept * weight_seconds_ + weight;
}

void HeatFit::Add(Monotonic at, Watts power, Celsius temperature) {
  if (!std::isfinite(power.value()) || !std::isfinite(temperature.value()) ||
      (last_ && at <= *last_)) {
    return;
  }
  if (!last_ || at - *last_ > kGapMax) {
    return Restart(at, power, temperature);
  }
  const double seconds = absl::ToDoubleSeconds(at - *last_);
  last_ = at;
  PassFilters(seconds, power.value());
  if (StandsStill(temperature)) {
    stands_still_ = true;
    return;
  }
  // The temperature moves again after standing still: the samples of that time were wrong, so the
  // filters start anew.
  if (stands_still_) {
    return Restart(at, power, temperature);
  }
  if (at - restarted_ < kSettleTime) {
    return;
  }
  Learn(seconds, temperature.value());
  if (at >= next_fit_) {
    next_fit_ = at + absl::Seconds(kFitSeconds);
    Fit();
  }
}

HeatFit::Choice HeatFit::OneStage(size_t filter) const {
  const double squares = watts_watts_[filter][filter];
  if (squares <= 0.0) {
    return {};
  }
  // Least squares with one unknown.
  const double kelvin_per_watt = watts_kelvin_[filter] / squares;
  return {.filters = {filter},
          .kelvin_per_watt = {kelvin_per_watt},
          .stages = 1,
          .unexplained = kelvin_kelvin_ - kelvin_per_watt * watts_kelvin_[filter],
          .deviation = std::sqrt(1.0 / squares)};
}

HeatFit::Choice HeatFit::TwoStages(size_t fast, size_t slow) const {
  const double a = watts_watts_[fast][fast];
  const double b = watts_watts_[fast][slow];
  const double c = watts_watts_[slow][slow];
  const double determinant = a * c - b * b;
  // The two filters differ too little to give two figures.
  if (determinant <= 1e-6 * a * c) {
    return {};
  }
  // Least squares with two unknowns by Cramer's rule.
  const double of_fast = (c * watts_kelvin_[fast] - b * watts_kelvin_[slow]) / determinant;
  const double of_slow = (a * watts_kelvin_[slow] - b * watts_kelvin_[fast]) / determinant;
  // A negative or tiny stage is no physical part of a board but fits noise.
  if (std::min(of_fast, of_slow) < kStageShareMin * (of_fast + of_slow)) {
    return {};
  }
  return {
      .filters = {fast, slow},
      .kelvin_per_watt = {of_fast, of_slow},
      .stages = 2,
      .unexplained = kelvin_kelvin_ - of_fast * watts_kelvin_[fast] - of_slow * watts_kelvin_[slow],
      .deviation = std::sqrt((a + c - 2.0 * b) / determinant)};
}

HeatFit::Choice HeatFit::Choose() const {
  Choice one;
  Choice two;
  const auto is_better = [](const Choice& than, const Choice& choice) {
    return choice.stages > 0 && (than.stages == 0 || choice.unexplained < than.unexplained);
  };
  for (size_t i = 0; i < kFilters; ++i) {
    if (const Choice choice = OneStage(i); is_better(one, choice)) {
      one = choice;
    }
    // Time constants closer than kApart filters cannot be separated.
    for (size_t j = i + kApart; j < kFilters; ++j) {
      if (const Choice choice = TwoStages(i, j); is_better(two, choice)) {
        two = choice;
      }
    }
  }
  return two.stages > 0 && IsKnown(two) && two.unexplained < kClearlyLess * one.unexplained ? two
                                                                                            : one;
}

bool HeatFit::IsKnown(const Choice& choice) const {
  if (choice.stages == 0 || weight_seconds_ < kSecondsMin) {
    return false;
  }
  const size_t slowest = choice.filters[choice.stages - 1];
  const double time_constant = SecondsOf(slowest);
  const double kelvin_per_watt = choice.kelvin_per_watt[0] + choice.kelvin_per_watt[1];
  const double error = std::sqrt(std::max(0.0, choice.unexplained) / weight_seconds_);
  // Correlated errors make the samples of one time constant count as one, which widens the
  // deviation by its root.
  const double deviation =
      error * std::sqrt(std::max(time_constant, kErrorSeconds)) * choice.deviation;
  // The slowest filter is excluded, because a best fit at the end of the range means a longer time
  // constant.
  return slowest + 1 < kFilters && weight_seconds_ >= kTimeConstantsMin * time_constant &&
         kelvin_per_watt >= kKelvinPerWattMin && kelvin_per_watt <= kKelvinPerWattMax &&
         error <= kErrorKelvinMax && deviation <= kDeviationMax * kelvin_per_watt;
}

FittedHeat HeatFit::Describe(const Choice& choice) const {
  FittedHeat heat;
  double ambient = kelvin_mean_;
  for (size_t i = 0; i < choice.stages; ++i) {
    heat.stages.push_back({choice.kelvin_per_watt[i], absl::Seconds(SecondsOf(choice.filters[i]))});
    // The fit is of differences from the means, so the ambient temperature follows from the means
    // themselves.
    ambient -= choice.kelvin_per_watt[i] * watts_mean_[choice.filters[i]];
  }
  heat.ambient = Celsius(ambient);
  heat.error_kelvin = std::sqrt(std::max(0.0, choice.unexplained) / weight_seconds_);
  return heat;
}

void HeatFit::Resume(const FittedHeat& kept) {
  Choice choice{.stages = kept.stages.size()};
  double sum = 0.0;
  for (size_t i = 0; i < std::min(choice.stages, choice.filters.size()); ++i) {
    const FittedStage& stage = kept.stages[i];
    size_t& filter = choice.filters[i];
    const double seconds = absl::ToDoubleSeconds(stage.time_constant);
    while (filter < kFilters && SecondsOf(filter) < seconds * (1.0 - kSameFilter)) {
      ++filter;
    }
    if (filter == kFilters || SecondsOf(filter) > seconds * (1.0 + kSameFilter) ||
        !(stage.kelvin_per_watt > 0.0)) {
      return;
    }
    choice.kelvin_per_watt[i] = stage.kelvin_per_watt;
    sum += stage.kelvin_per_watt;
  }
  if (choice.stages == 0 || choice.stages > choice.filters.size() ||
      !(sum >= kKelvinPerWattMin && sum <= kKelvinPerWattMax) ||
      !(kept.error_kelvin >= 0.0 && kept.error_kelvin <= kErrorKelvinMax) ||
      !std::isfinite(kept.ambient.value())) {
    return;
  }
  told_ = choice;
  fitted_ = kept;
  resumed_ = true;
}

void HeatFit::FollowTheAir() {
  FittedHeat heat = Describe(told_);
  heat.error_kelvin = fitted_->error_kelvin;
  if (!IsNoise(*fitted_, heat)) {
    fitted_ = std::move(heat);
  }
}

void HeatFit::Fit() {
  const Choice choice = Choose();
  if (!IsKnown(choice)) {
    if (resumed_) {
      return FollowTheAir();
    }
    told_ = {};
    fitted_.reset();
    return;
  }
  resumed_ = false;
  FittedHeat heat = Describe(choice);
  if (!fitted_ || !IsNoise(*fitted_, heat)) {
    told_ = choice;
    fitted_ = std::move(heat);
    rise_at_move_ = FittedRise();
  }
}

}  // namespace wattle::telemetry
