// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/checkpoint_interval.h"

#include <algorithm>
#include <cmath>

namespace wattle {

absl::Duration OptimalCheckpointInterval(absl::Duration write, absl::Duration between_cuts) {
  const double product = 2 * absl::ToDoubleSeconds(write) * absl::ToDoubleSeconds(between_cuts);
  return std::min(absl::Seconds(std::sqrt(std::max(0.0, product))), between_cuts);
}

CheckpointInterval ChooseCheckpointInterval(const CheckpointFacts& facts) {
  CheckpointInterval chosen = {OptimalCheckpointInterval(facts.write, facts.between_cuts)};
  const absl::Duration near_reserve = std::max(facts.until_reserve, chosen.interval / 4);
  if (near_reserve < chosen.interval) {
    chosen = {near_reserve, CheckpointBound::kReserve};
  }
  if (facts.flash_wait > chosen.interval) {
    chosen = {facts.flash_wait, CheckpointBound::kFlash};
  }
  if (facts.loss_max < chosen.interval) {
    chosen = {facts.loss_max, CheckpointBound::kLoss};
  }
  if (facts.cut_off > absl::ZeroDuration() && facts.cut_off / 2 < chosen.interval) {
    chosen = {facts.cut_off / 2, CheckpointBound::kCutOff};
  }
  chosen.interval = std::max(chosen.interval, facts.write);
  return chosen;
}

double ExpectedCheckpoints(absl::Duration run, absl::Duration write) {
  const absl::Duration interval = OptimalCheckpointInterval(write, kBetweenCutsPrior);
  return interval > absl::ZeroDuration() ? std::floor(run / interval) : 0.0;
}

// With x² the write: run / √(2·x²·M) checkpoints and the result take x² + run·x / √(2·M) = total.
absl::Duration WriteTimeOf(absl::Duration total, absl::Duration run) {
  const double linear =
      absl::ToDoubleSeconds(run) / std::sqrt(2 * absl::ToDoubleSeconds(kBetweenCutsPrior));
  const double root =
      (std::sqrt(linear * linear + 4 * std::max(0.0, absl::ToDoubleSeconds(total))) - linear) / 2;
  return total / (1 + ExpectedCheckpoints(run, absl::Seconds(root * root)));
}

}  // namespace wattle
