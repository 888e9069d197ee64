// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Level 6 of the predictor: a roofline from the device's own description and its datasheet. This
// level always answers, with the widest interval. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_DATASHEET_H_
#define WATTLE_SCHEDULER_PREDICT_DATASHEET_H_

#include "absl/strings/string_view.h"

#include "scheduler/predict/other_workload.h"
#include "scheduler/predict/rate.h"

namespace wattle::scheduler {

RunEstimate FromDatasheet(const RunQuery& query);

// Upper limits of every board of a class: operations in any number format, and memory bandwidth.
struct DatasheetPeak {
  double operations_per_second = 0;
  double bytes_per_second = 0;
  bool of_class = false;  // False: limits of the fastest accelerators, because the class has no
                          // datasheet.
};
DatasheetPeak PeakOf(absl::string_view device_class);

// Seconds of one pass over the model that no amount of work explains: launching kernels, calling
// operators, drawing a token. A pass that answers a question also reads all weights. Before a
// measurement the value is a guess for small models on boards (kPassDeviation, pass_time.h).
double PassSecondsPrior(const v1::DeviceInfo& device, const v1::WorkloadSignature& signature);

// Gross watts under load for a device class without a row that has watts. idle_power_watts: 0 if
// unknown.
PowerEstimate PowerFromDatasheet(const v1::DeviceInfo& device, double idle_power_watts);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_DATASHEET_H_
