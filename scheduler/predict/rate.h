// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The answer of a level of the predictor (same_workload.h, other_workload.h, datasheet.h). A plain
// value.
#ifndef WATTLE_SCHEDULER_PREDICT_RATE_H_
#define WATTLE_SCHEDULER_PREDICT_RATE_H_

#include <string>

#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// The power mode in which rows were measured, as the device knows it. Plain value.
struct RowMode {
  std::string name{};  // Empty: the device's present mode, or unknown.
  // The mode's nominal watts at the time of measurement; 0: those of the device's list under this
  // name.
  double power_watts_then = 0;
};

// Deviations are standard deviations of the logarithm. The 90 % interval is mean × exp(±factor ×
// deviation); the factor follows from the level's past errors (scheduler/profiles/calibration.h).
struct RunEstimate {
  double run_seconds = 0;
  double time_deviation = 0;
  // The part of time_deviation that a prediction of this work on another device does not share. An
  // unspecified batch of the job, and the job's distance from the measured model, shift both
  // predictions alike.
  double own_time_deviation = 0;
  double power_watts = 0;    // Gross mean; 0: this level gives no power.
  double energy_joules = 0;  // Gross; 0 if power_watts is 0.
  double power_deviation = 0;
  v1::Provenance provenance = v1::PROVENANCE_UNSPECIFIED;
  std::string note;
  double start_seconds = 0;     // From the rows used; 0: unknown.
  double idle_power_watts = 0;  // From the rows used; 0: unknown.
  int64_t peak_memory_bytes = 0;
  double temperature_celsius_max = 0;  // From the rows used; 0: unknown.
  RowMode mode{};
};

// The inputs of a level besides the rows.
struct RunQuery {
  const v1::DeviceInfo& device;
  const struct WorkAmount& work;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_RATE_H_
