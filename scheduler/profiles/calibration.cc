// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/calibration.h"

#include <algorithm>
#include <cmath>

namespace wattle::scheduler {
namespace {

// Share of runs outside a 90 % interval.
constexpr double kMissShare = 0.1;
// Before a level has errors of its own, its scores are those of a normal variable. This is the
// weight of that prior in runs: with more, a level with few runs would stay too narrow; with fewer,
// one outlier would widen it too much.
constexpr double kPriorScores = 12;
// Scores are counted in bins of this many deviations. The last bin holds all higher ones.
constexpr double kBinWidth = 0.05;
// A device that misses more often than one run in ten gets wider intervals, and narrower ones if it
// misses less often. The step for each run is that of adaptive conformal inference (Gibbs and
// Candès, "Adaptive Conformal Inference Under Distribution Shift", 2021).
constexpr double kDeviceStep = 0.02;
constexpr double kDeviceMissShareMin = 0.02;
constexpr double kDeviceMissShareMax = 0.25;

// Share of a normal variable within `deviations` of its mean.
double NormalWithin(double deviations) {
  return std::erf(deviations / std::sqrt(2.0));
}

// The runs of the prior in each bin.
template <size_t bins>
std::array<double, bins> PriorOfBins() {
  std::array<double, bins> prior{};
  for (size_t bin = 0; bin < bins; ++bin) {
    const double low = kBinWidth * static_cast<double>(bin);
    prior[bin] = kPriorScores * (NormalWithin(low + kBinWidth) - NormalWithin(low));
  }
  return prior;
}

bool IsScored(const v1::RunObservation& run, Quantity quantity) {
  // A row of a newer version may have a level that this one does not know.
  return run.predicted_by() != v1::PROVENANCE_UNSPECIFIED &&
         v1::Provenance_IsValid(run.predicted_by()) &&
         (quantity == Quantity::kTime ? run.has_time_score() : run.has_energy_score());
}

size_t BinOf(double score, size_t bins) {
  return static_cast<size_t>(std::min(score / kBinWidth, static_cast<double>(bins) - 1.0));
}

}  // namespace

void Calibration::Count(const v1::ProfileRow& row, int times) {
  for (const v1::RunObservation& run : row.runs()) {
    for (const Quantity quantity : {Quantity::kTime, Quantity::kEnergy}) {
      const bool time = quantity == Quantity::kTime;
      const auto add = [&](v1::Provenance level, double score) {
        Scores& scores =
            scores_.Mutable({static_cast<int>(quantity), row.emulated() ? 1 : 0, level});
        scores.bins[BinOf(score, kBins)] += times;
        scores.count += times;
      };
      // The attempt's probe was a prediction of its own, made before the run ended.
      if (time ? run.has_probe_time_score() : run.has_probe_energy_score()) {
        add(v1::PROVENANCE_PROBED, time ? run.probe_time_score() : run.probe_energy_score());
      }
      if (!IsScored(run, quantity)) {
        continue;
      }
      add(run.predicted_by(), time ? run.time_score() : run.energy_score());
      Misses& misses = misses_.Mutable(
          row.device_id())[static_cast<size_t>(run.predicted_by())][static_cast<size_t>(quantity)];
      misses.scored += times;
      misses.missed += (time ? run.time_missed() : run.energy_missed()) ? times : 0;
    }
  }
}

double Calibration::IntervalFactor(Quantity quantity, v1::Provenance level, bool emulated,
                                   const std::string& device_id) const {
  double miss_share = kMissShare;
  if (const auto* of_device = misses_.Find(device_id); of_device != nullptr) {
    const Misses& misses = (*of_device)[static_cast<size_t>(level)][static_cast<size_t>(quantity)];
    const double fewer =
        kMissShare * static_cast<double>(misses.scored) - static_cast<double>(misses.missed);
    // Adaptive conformal inference: a miss lowers the allowed share nine times as much as a hit
    // raises it, which balances at one miss in ten.
    miss_share =
        std::clamp(kMissShare + kDeviceStep * fewer, kDeviceMissShareMin, kDeviceMissShareMax);
  }
  const Scores* scores = scores_.Find({static_cast<int>(quantity), emulated ? 1 : 0, level});
  if (scores == nullptr && miss_share == kMissShare) {
    return kInterval90;
  }
  static const Scores kNone;
  static const std::array<double, kBins> kPrior = PriorOfBins<kBins>();
  scores = scores == nullptr ? &kNone : scores;
  // Number of scores, the prior's included, that must lie inside the interval.
  const double wanted = (1 - miss_share) * (kPriorScores + static_cast<double>(scores->count));
  double below = 0;  // Runs whose score is below the bin, the prior's included.
  for (size_t bin = 0; bin < kBins; ++bin) {
    const double low = kBinWidth * static_cast<double>(bin);
    const double inside = kPrior[bin] + scores->bins[bin];
    if (below + inside >= wanted) {
      // Linear within the bin.
      return low + kBinWidth * (wanted - below) / inside;
    }
    below += inside;
  }
  return kBinWidth * kBins;
}

namespace {

// The error of ln(measured / predicted), if heat may have stretched the run by any part of the
// predicted stretch: a run that stayed cooler shows no error of the rate. log_cool: the error
// against the prediction of a board that stays cool.
double ErrorWithin(double log_cool, double log_stretch) {
  return std::abs(log_cool - std::clamp(log_cool, 0.0, log_stretch));
}

}  // namespace

void Score(const v1::Prediction& predicted, v1::WorkUnit unit, v1::RunObservation* run) {
  if (predicted.unit() != unit || !(predicted.seconds_per_unit() > 0) ||
      !(predicted.time_deviation() > 0)) {
    return;
  }
  run->set_predicted_by(predicted.provenance());
  const double stretch = std::max(1.0, predicted.heat_stretch_ratio());
  const double time = ErrorWithin(std::log(run->seconds_per_unit() / predicted.seconds_per_unit()),
                                  std::log(stretch));
  run->set_time_score(time / predicted.time_deviation());
  run->set_time_missed(time >
                       std::log(predicted.run_seconds().high() / predicted.run_seconds().mean()));
  if (run->power_watts() > 0 && predicted.energy_deviation() > 0) {
    const double stretched = predicted.mean_power_watts() * stretch * predicted.seconds_per_unit();
    const double joules =
        stretched - predicted.idle_power_watts() * (stretch - 1) * predicted.seconds_per_unit();
    const double energy =
        ErrorWithin(std::log(run->power_watts() * run->seconds_per_unit() / joules),
                    std::log(stretched / joules));
    run->set_energy_score(energy / predicted.energy_deviation());
    run->set_energy_missed(energy > std::log(predicted.run_energy_joules().high() /
                                             predicted.run_energy_joules().mean()));
  }
}

}  // namespace wattle::scheduler
