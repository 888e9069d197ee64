// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The predictor: the time and energy of a job on a device, with an interval and the provenance. The
// levels, best first: this workload measured on this device, on its class, interpolated or in other
// modes (same_workload.h); scaled, transferred or published (other_workload.h), or another class by
// measured rates (measured_rates.h); the datasheet (datasheet.h). Formulas and constants:
// docs/design/prediction.md. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_PREDICT_H_
#define WATTLE_SCHEDULER_PREDICT_PREDICT_H_

#include <cstdint>

#include "absl/types/span.h"

#include "scheduler/predict/work.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

class ProfileTable;

// Predicts device seconds and joules. The energy of fetch, start, checkpoints, evaluations and
// upload is their energy above idle, if idle is known. The run's energy is gross; its net energy
// stands beside it. Every number of the prediction is finite and not negative.
v1::Prediction Predict(const ProfileTable& table, const v1::Device& device, const WorkAmount& work,
                       absl::Span<const InputView> inputs);

// A prediction that can be compared with a prediction of the same work on another device.
struct ComparablePrediction {
  v1::Prediction prediction;
  // Standard deviation of the logarithm of the run's joules: the error that the two predictions do
  // not share. An unspecified batch or a model that was never measured shifts both predictions
  // alike and is not included.
  double own_energy_deviation = 0;
  // The usual highest temperature in the runs from which it was predicted; 0: unknown.
  double rows_celsius_max = 0;
  // Seconds of a start with the model already in the board's memory from an earlier run. A row's
  // start is the board's mean over warm and cold starts, and serves for both.
  double warm_start_seconds = 0;
};
ComparablePrediction PredictToCompare(const ProfileTable& table, const v1::Device& device,
                                      const WorkAmount& work, absl::Span<const InputView> inputs);

// Adds the fetch of a checkpoint to the device.
void AddCheckpointFetch(const v1::Device& device, int64_t bytes, v1::Prediction* prediction);

// The joules that the attempt adds to the fleet's consumption: the net run and everything around
// it.
double MarginalEnergyJoules(const v1::Prediction& prediction);

// Device seconds of the run and everything around it (fetch, start, checkpoints, evaluations,
// upload). `run_seconds` is the prediction's mean, low or high.
double TotalSeconds(const v1::Prediction& prediction, double run_seconds);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_PREDICT_H_
