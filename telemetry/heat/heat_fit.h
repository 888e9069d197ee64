// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Learns how the board's temperature follows its watts, from the board's own samples. The model:
// temperature = ambient + the sum over stages of kelvin_per_watt x the watts behind a low-pass
// filter of the stage's time constant. A stage is a part that stores heat: the chip with its heat
// sink, or the case. The fit uses one stage, or two if the second one explains clearly more.
//
// The object keeps the filtered watts for each of kFilters time constants. The fit subtracts the
// mean of the latest hour from them and from the temperature, so that a slow change of the air's
// temperature over the day drops out, and solves for the rest by least squares. Pure: times come
// with the calls. One thread owns an object.
#ifndef WATTLE_TELEMETRY_HEAT_HEAT_FIT_H_
#define WATTLE_TELEMETRY_HEAT_HEAT_FIT_H_

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "base/clock.h"
#include "units/quantity.h"

namespace wattle::telemetry {

struct FittedStage {
  double kelvin_per_watt = 0.0;
  absl::Duration time_constant{};
};

struct FittedHeat {
  Celsius ambient{};                // of the latest hour, without watts
  std::vector<FittedStage> stages;  // one or two, the faster one first
  double error_kelvin = 0.0;        // root mean square of the fit's residual
};

class HeatFit {
 public:
  // Adds a sample. power: the mean since the sample before. Samples come in order of time; one that
  // is not newer than the last is ignored. A gap, such as a suspend, begins the filters anew, and
  // nothing is learned until the watts before it no longer matter. A temperature that stands still
  // while the model expects it to move counts as a gap.
  void Add(Monotonic at, Watts power, Celsius temperature);
  // Continues from an earlier process's fit until this process's samples give a fit of their own.
  // The ambient temperature follows the samples before that. Stages that no fit can have are
  // ignored.
  // REQUIRES: before the first sample.
  void Resume(const FittedHeat& kept);

  // Changes seldom, and only if a figure moved by more than its noise. nullopt: the samples do not
  // determine a fit yet, because the board's watts never changed for long enough.
  [[nodiscard]] const std::optional<FittedHeat>& fitted() const { return fitted_; }

  static constexpr absl::Duration kGapMax = absl::Minutes(2);

 private:
  // Time constants from 10 s to 53 min, each 1.3 times the one before.
  static constexpr size_t kFilters = 23;
  using OfFilters = std::array<double, kFilters>;
  // A choice of stages with its fit from the sums.
  struct Choice {
    std::array<size_t, 2> filters{};
    std::array<double, 2> kelvin_per_watt{};
    size_t stages = 0;
    double unexplained = 0.0;  // weighted sum of squares
    double deviation = 0.0;    // of the sum of kelvin_per_watt, for an unexplained kelvin a second
  };

  // Updates the ambient temperature from the latest samples, for the stages of an earlier process.
  void FollowTheAir();
  void Restart(Monotonic at, Watts power, Celsius temperature);
  void Learn(double seconds, double kelvin);
  void PassFilters(double seconds, double watts);
  [[nodiscard]] bool StandsStill(Celsius temperature);
  // The temperature that the fitted stages add to the ambient temperature now.
  [[nodiscard]] double FittedRise() const;
  [[nodiscard]] Choice OneStage(size_t filter) const;
  [[nodiscard]] Choice TwoStages(size_t fast, size_t slow) const;
  [[nodiscard]] Choice Choose() const;
  [[nodiscard]] bool IsKnown(const Choice& choice) const;
  [[nodiscard]] FittedHeat Describe(const Choice& choice) const;
  void Fit();

  std::optional<Monotonic> last_;
  Monotonic restarted_;
  Monotonic next_fit_;
  Celsius last_temperature_{};
  double rise_at_move_ = 0.0;  // FittedRise when the temperature last moved
  bool stands_still_ = false;
  // The factors of one step of the filters, kept because steps are mostly equal.
  double step_seconds_ = 0.0;
  OfFilters step_share_{};
  OfFilters watts_{};       // behind the filters
  OfFilters watts_mean_{};  // of the latest hour
  double kelvin_mean_ = 0.0;
  double mean_seconds_ = 0.0;  // window of the means, at most an hour
  // Sums over samples of products of the differences from the means. The weights are the seconds in
  // which the watts differ from their mean; a sample's weight falls as more such seconds follow.
  std::array<OfFilters, kFilters> watts_watts_{};  // [i][j] with j >= i
  OfFilters watts_kelvin_{};
  double kelvin_kelvin_ = 0.0;
  double weight_seconds_ = 0.0;
  Choice told_;           // of fitted_
  bool resumed_ = false;  // fitted_ has the stages of an earlier process
  std::optional<FittedHeat> fitted_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_HEAT_HEAT_FIT_H_
