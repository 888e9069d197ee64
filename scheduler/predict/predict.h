// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The predictor: what a job will take on a device, with an interval and its provenance. Levels,
// best first: this workload measured on this device, on its class, interpolated (same_workload.h);
// scaled or transferred from other workloads, or published (other_workload.h); the datasheet
// (datasheet.h). Formulas and constants: docs/design/prediction.md. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_PREDICT_H_
#define WATTLE_SCHEDULER_PREDICT_PREDICT_H_

#include "absl/types/span.h"

#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Device seconds and joules. The energy of fetch, start, checkpoints, evaluations and upload is
// what they add above idle, where idle is known; the run's energy is gross, its net stands beside
// it. Every number of the answer is finite and not negative.
v1::Prediction Predict(const ProfileTable& table, const v1::Device& device, const WorkAmount& work,
                       absl::Span<const InputView> inputs);

// A prediction to compare with that of the same work on another device.
struct ComparablePrediction {
  v1::Prediction prediction;
  // Of the logarithm of the run's joules: the error that the two predictions do not share. An open
  // batch or a model that was never measured moves both alike and is not in it.
  double own_energy_deviation = 0;
};
ComparablePrediction PredictToCompare(const ProfileTable& table, const v1::Device& device,
                                      const WorkAmount& work, absl::Span<const InputView> inputs);

// Net run and everything around it: what the attempt adds to the fleet's joules.
double MarginalEnergyJoules(const v1::Prediction& prediction);

// The run and everything around it (fetch, start, checkpoints, evaluations, upload) in device
// seconds; `run_seconds` is the prediction's mean, low or high.
double TotalSeconds(const v1::Prediction& prediction, double run_seconds);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_PREDICT_H_
