// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What attempts took, by the kind of work: sums for metrics. The labels are closed sets (kind,
// shape of the model, device class, source of the joules), never a job. A value without a lock.
#ifndef WATTLE_COORDINATOR_RUNTIME_WORK_TOTALS_H_
#define WATTLE_COORDINATOR_RUNTIME_WORK_TOTALS_H_

#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "wattle/v1/energy.pb.h"
#include "wattle/v1/job.pb.h"

namespace wattle::runtime {

struct WorkKind {
  std::string kind;          // "finetune", "quantize", "generate", "evaluate"; "unknown"
  std::string model;         // "gpt2-12x768": family, layers, width; "unknown"
  std::string device_class;  // "jetson-orin-nano"
  v1::EnergySource source = v1::ENERGY_SOURCE_UNSPECIFIED;  // emulated joules stay apart

  auto operator<=>(const WorkKind&) const = default;
};

// An attempt that ended before its runner told what the work is has kind and model "unknown".
WorkKind WorkKindOf(const v1::Receipt& receipt);

// Of attempts that ended in one state. Device seconds, gross joules of the whole attempt.
struct WorkSum {
  int64_t attempts = 0;
  double seconds = 0;
  double energy_joules = 0;
  double tokens = 0;  // padding included
};

// Of the runs of finished attempts which had a prediction: both sides over the same runs.
struct PredictionSum {
  double predicted_seconds = 0;
  double measured_seconds = 0;
  double predicted_energy_joules = 0;
  double measured_energy_joules = 0;
};

struct WorkTotals {
  std::map<WorkKind, std::map<v1::AttemptState, WorkSum>> done;
  std::map<WorkKind, PredictionSum> predictions;
  std::map<v1::FailureClass, int64_t> failures;

  // The attempt ended in `state` with this receipt.
  void Add(v1::AttemptState state, const v1::Receipt& receipt);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_WORK_TOTALS_H_
