// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Determines the width of 90 % intervals from the errors of past predictions. A level of the
// predictor states a deviation; the score of a run is the error of its prediction, |ln(measured /
// predicted)|, in such deviations. The interval of the next prediction of this level is as wide as
// nine in ten past scores (split conformal prediction: Vovk, Gammerman and Shafer, "Algorithmic
// Learning in a Random World", 2005). Each score belongs to a prediction made before its run ended,
// so no interval uses later knowledge.
//
// Everything here is a count of runs, so it does not depend on the order in which rows were stored.
// Thread-compatible.
#ifndef WATTLE_SCHEDULER_PROFILES_CALIBRATION_H_
#define WATTLE_SCHEDULER_PROFILES_CALIBRATION_H_

#include <array>
#include <cstdint>
#include <string>

#include "base/persistent_map.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

enum class Quantity { kTime, kEnergy };

// Half the width of a normal variable's 90 % interval, in deviations; used for a level without past
// errors.
inline constexpr double kInterval90 = 1.645;

class Calibration {
 public:
  // Counts the runs of a device's row; `times` is 1, or -1 for a row that leaves the table.
  void Count(const v1::ProfileRow& row, int times);

  // Half the width of the 90 % interval on the logarithm, in deviations of the level.
  [[nodiscard]] double IntervalFactor(Quantity quantity, v1::Provenance level, bool emulated,
                                      const std::string& device_id) const;

 private:
  static constexpr size_t kBins = 160;
  struct Scores {
    std::array<int32_t, kBins> bins{};
    int64_t count = 0;
  };
  struct Misses {  // Misses of one level on one device.
    int64_t scored = 0;
    int64_t missed = 0;
  };
  using LevelKey = std::array<int, 3>;  // Quantity, emulated, level.

  PersistentMap<LevelKey, Scores> scores_;
  // A level's error on a device does not predict the device's other levels.
  using MissesOfLevels = std::array<std::array<Misses, 2>, v1::Provenance_ARRAYSIZE>;
  PersistentMap<std::string, MissesOfLevels> misses_;  // Keyed by device, level and Quantity.
};

// Sets the scores of a run, for seconds and joules per unit of work, against the prediction with
// which the run was placed. Leaves them unset if there was no prediction with a deviation, or if
// the prediction counted the work in another unit.
void Score(const v1::Prediction& predicted, v1::WorkUnit unit, v1::RunObservation* run);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_CALIBRATION_H_
