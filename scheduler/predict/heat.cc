// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/heat.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "units/format.h"

namespace wattle::scheduler {
namespace {

// A guard resumes work five kelvin below its limit, so the mean temperature is half of that below.
// The kernel also holds a board a little below its trip point.
constexpr double kMarginKelvin = 2.5;
// Lowest share of full speed of a hot board, from the lowest clocks of real boards.
constexpr double kShareMin = 0.05;
// A smaller stretch of a run is not reported.
constexpr double kStretchMin = 1.005;
constexpr int kSearchSteps = 50;

double SumOf(const HeatRises& rises) {
  return rises[0] + rises[1];
}

// The model as numbers. With one stage, the slow stage stores nothing.
struct Stages {
  explicit Stages(const v1::HeatModel& model) {
    for (int i = 0; i < std::min(model.stages_size(), 2); ++i) {
      const auto stage = static_cast<size_t>(i);
      kelvin_per_watt[stage] = std::max(0.0, model.stages(i).kelvin_per_watt());
      seconds[stage] = std::max(1.0, model.stages(i).time_constant_seconds());
    }
    if (model.stages_size() < 2) {
      seconds[1] = seconds[0];
    }
  }
  [[nodiscard]] double sum() const { return kelvin_per_watt[0] + kelvin_per_watt[1]; }
  [[nodiscard]] HeatRises After(HeatRises rises, double watts, double passed) const {
    for (size_t i = 0; i < rises.size(); ++i) {
      const double steady = kelvin_per_watt[i] * watts;
      // The exact solution of a first-order stage at constant watts.
      rises[i] = steady + (rises[i] - steady) * std::exp(-passed / seconds[i]);
    }
    return rises;
  }

  HeatRises kelvin_per_watt{};
  HeatRises seconds{1.0, 1.0};
};

// The smallest argument at which an increasing function reaches `wanted`.
template <typename Function>
double WhereReached(double wanted, double most, const Function& function) {
  double low = 0;
  double high = most;
  // A fixed number of bisections gives the same result on every machine.
  for (int i = 0; i < kSearchSteps; ++i) {
    const double middle = (low + high) / 2;
    (function(middle) < wanted ? low : high) = middle;
  }
  return high;
}

// The course of a hot run from a moment on.
struct Course {
  Stages stages;
  double rise_max = 0;
  double idle_watts = 0;
  double burst_watts = 0;

  // The share of full speed at this many watts.
  [[nodiscard]] double ShareAt(double watts) const {
    return std::clamp((watts - idle_watts) / (burst_watts - idle_watts), kShareMin, 1.0);
  }
  [[nodiscard]] double HoldingWatts() const { return rise_max / stages.sum(); }

  // Seconds of a run that takes `cool_seconds` at full speed.
  [[nodiscard]] double Seconds(const HeatRises& begin, double cool_seconds) const {
    const auto rise = [&](double at) { return SumOf(stages.After(begin, burst_watts, at)); };
    if (rise(cool_seconds) <= rise_max) {
      return cool_seconds;
    }
    const double until_hot =
        SumOf(begin) >= rise_max ? 0 : WhereReached(rise_max, cool_seconds, rise);
    // Full speed until the limit, then the remaining work at the speed that holds it.
    const double left = cool_seconds - until_hot;
    if (left <= 0) {
      return cool_seconds;
    }
    return until_hot + HeldSeconds(stages.After(begin, burst_watts, until_hot)[1], left);
  }

  // Seconds at the limit for work of `left` seconds at full speed. The slow stage still warms up at
  // the limit, so the watts that hold the limit fall from their first value to HoldingWatts.
  // Because the sum of both rises is constant, the watts follow a further low-pass filter.
  [[nodiscard]] double HeldSeconds(double slow_rise, double left) const {
    const auto& [fast_kelvin, slow_kelvin] = stages.kelvin_per_watt;
    const double ratio = stages.seconds[0] / stages.seconds[1];
    const double first_watts =
        (rise_max - slow_rise * (1 - ratio)) / (fast_kelvin + slow_kelvin * ratio);
    const double seconds =
        (fast_kelvin * stages.seconds[1] + slow_kelvin * stages.seconds[0]) / stages.sum();
    // The lowest share is reached once the slow stage is warm too.
    const double last = ShareAt(HoldingWatts());
    const double first = std::max(last, ShareAt(first_watts));
    // Inverts the work done until `at`, the integral of a share that decays exponentially from
    // first to last.
    return WhereReached(left, left / last, [&](double at) {
      return last * at + (first - last) * seconds * -std::expm1(-at / seconds);
    });
  }
};

Course CourseOf(const HotRun& run, const v1::Prediction& cool) {
  return {.stages = Stages(run.model),
          .rise_max = run.limit.temperature.value() - run.model.ambient_celsius(),
          .idle_watts = cool.idle_power_watts(),
          .burst_watts = cool.mean_power_watts()};
}

BoardHeat Bounded(BoardHeat heat) {
  const double sum = SumOf(heat.rises);
  // The limit bounds the sum of both rises, so both are scaled by one factor.
  if (sum > heat.rise_max && sum > 0) {
    for (double& rise : heat.rises) {
      rise *= std::max(0.0, heat.rise_max) / sum;
    }
  }
  return heat;
}

}  // namespace

std::optional<HeatLimit> HeatLimitOf(const v1::Device& device,
                                     const std::optional<Celsius>& guard_limit) {
  const double throttle = device.heartbeat().heat_model().throttle_celsius();
  if (throttle <= 0 && !guard_limit.has_value()) {
    return std::nullopt;
  }
  const bool by_guard =
      guard_limit.has_value() && (throttle <= 0 || *guard_limit <= Celsius(throttle));
  return HeatLimit{(by_guard ? *guard_limit : Celsius(throttle)) - Celsius(kMarginKelvin),
                   by_guard};
}

BoardHeat HeatNow(const v1::Device& device, const std::optional<HeatLimit>& limit, absl::Time now) {
  const v1::Heartbeat& heartbeat = device.heartbeat();
  const Stages stages(heartbeat.heat_model());
  const double ambient = heartbeat.heat_model().ambient_celsius();
  BoardHeat heat{.at = now};
  if (limit.has_value()) {
    heat.rise_max = limit->temperature.value() - ambient;
  }
  // The fast stage is near its steady rise at the present watts; the slow stage has the rest.
  const double watts =
      heartbeat.has_power() ? heartbeat.power_watts() : heartbeat.idle_power_watts();
  heat.rises = {stages.kelvin_per_watt[0] * watts, stages.kelvin_per_watt[1] * watts};
  if (heartbeat.has_temperature()) {
    const double rise = std::max(0.0, heartbeat.temperature_celsius() - ambient);
    const bool two = stages.kelvin_per_watt[1] > 0;
    heat.rises[0] = two ? std::min(heat.rises[0], rise) : rise;
    heat.rises[1] = rise - heat.rises[0];
  }
  return heat;
}

BoardHeat HeatAfter(const v1::Device& device, BoardHeat heat, Watts power, absl::Time until) {
  if (until <= heat.at) {
    return heat;
  }
  const double time_scale = device.info().time_scale() > 0 ? device.info().time_scale() : 1;
  const double seconds = absl::ToDoubleSeconds(until - heat.at) / time_scale;
  heat.rises = Stages(device.heartbeat().heat_model()).After(heat.rises, power.value(), seconds);
  heat.at = until;
  return Bounded(heat);
}

std::optional<HotRun> HotRunOf(const v1::Device& device, const std::optional<HeatLimit>& limit,
                               const v1::Prediction& cool, double rows_celsius_max) {
  const v1::HeatModel& model = device.heartbeat().heat_model();
  if (!limit.has_value() || model.stages().empty()) {
    return std::nullopt;
  }
  // Rows of throttled runs already contain the stretch, which must not count twice.
  const bool has_it_in_rows = !limit->by_guard && rows_celsius_max >= limit->temperature.value();
  const double steady = model.ambient_celsius() + Stages(model).sum() * cool.mean_power_watts();
  if (has_it_in_rows || !(steady > limit->temperature.value()) ||
      !(cool.mean_power_watts() > cool.idle_power_watts()) || !(cool.run_seconds().mean() > 0)) {
    return std::nullopt;
  }
  return HotRun{*limit, model};
}

v1::Prediction Stretched(const HotRun& run, const v1::Prediction& cool, const BoardHeat& heat) {
  const Course course = CourseOf(run, cool);
  v1::Prediction prediction = cool;
  const double cool_seconds = cool.run_seconds().mean();
  const double seconds = course.Seconds(heat.rises, cool_seconds);
  const double ratio = seconds / cool_seconds;
  if (!(ratio >= kStretchMin)) {
    return prediction;
  }
  const auto stretch = [&](double (v1::Interval::*get)() const, void (v1::Interval::*set)(double)) {
    const double at_full_speed = (cool.run_seconds().*get)();
    const double longer = course.Seconds(heat.rises, at_full_speed);
    (prediction.mutable_run_seconds()->*set)(longer);
    // The joules of the work stay; the longer time adds idle draw.
    (prediction.mutable_run_energy_joules()->*set)((cool.run_energy_joules().*get)() +
                                                   course.idle_watts * (longer - at_full_speed));
  };
  stretch(&v1::Interval::low, &v1::Interval::set_low);
  stretch(&v1::Interval::mean, &v1::Interval::set_mean);
  stretch(&v1::Interval::high, &v1::Interval::set_high);
  prediction.set_mean_power_watts(course.idle_watts +
                                  (course.burst_watts - course.idle_watts) / ratio);
  prediction.set_evaluate_seconds(ratio * prediction.evaluate_seconds());
  prediction.set_heat_stretch_ratio(ratio);
  prediction.set_provenance_note(absl::StrCat(
      prediction.provenance_note(), prediction.provenance_note().empty() ? "" : "; ",
      absl::StrFormat("takes %.1f times as long: the board holds %.0f °C at %s and would draw %s",
                      ratio, run.limit.temperature.value() + kMarginKelvin,
                      FormatPower(Watts(std::max(course.HoldingWatts(), course.idle_watts))),
                      FormatPower(Watts(course.burst_watts)))));
  return prediction;
}

}  // namespace wattle::scheduler
