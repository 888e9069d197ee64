// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sums of the time and energy of attempts by kind of work, for metrics. The labels are closed sets
// (kind, shape of the model, device class, energy source) and never name a job. Plain values
// without a lock.
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
  v1::EnergySource source = v1::ENERGY_SOURCE_UNSPECIFIED;  // emulated joules have their own source

  auto operator<=>(const WorkKind&) const = default;
};

// The kind of the receipt's work. Kind and model are "unknown" for an attempt that ended before its
// runner described the work.
WorkKind WorkKindOf(const v1::Receipt& receipt);

// Sums over attempts that ended in one state: device seconds, and gross joules of the whole
// attempt.
struct WorkSum {
  int64_t attempts = 0;
  double seconds = 0;
  double energy_joules = 0;
  double tokens = 0;  // padding included
};

// Sums over the runs of finished attempts that had a prediction. Both sides cover the same runs.
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

  // Adds an attempt that ended in `state` with this receipt, unless the receipt has no work. The
  // caller counts failures, because the receipt may come after the end.
  void Add(v1::AttemptState state, const v1::Receipt& receipt);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_WORK_TOTALS_H_
