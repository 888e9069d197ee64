// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The cost of a placement. An objective is a row of the table in objective.cc. To add one: its row,
// and a value in spec.proto. Thread-safe: objectives have no state.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_OBJECTIVE_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_OBJECTIVE_H_

#include <string>

#include "policy/limits.h"
#include "scheduler/place/device/option.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

struct ObjectiveRow {
  v1::Objective objective;
  // The quantity that the objective minimizes, for a run of a job that was submitted
  // `waited_seconds` ago. At least 0.
  double (*amount)(const RunStart& run, double waited_seconds);
  // True if the amount does not include time. An hour of waiting then costs a share of the amount,
  // so that a job does not wait forever for a few joules (the policies' patience_ratio_per_hour).
  bool waiting_costs_extra;
  std::string (*format)(double amount);  // "36.33 Wh": the amount for people.
  // The cost of one unit of work, by which two models on one device are compared.
  double (*cost_per_unit)(double seconds, double net_joules);
  const char* unit;  // Unit of cost_per_unit: "J".
};

// The objective's row. OBJECTIVE_UNSPECIFIED means energy.
const ObjectiveRow& ObjectiveOf(v1::Objective objective);

// Cost of an hour of waiting for a device with these limits, as a share of the amount.
double PatienceRatioPerHour(const policy::Limits& limits);

// Cost for comparing runs; less is better. patience_ratio_per_hour: of the device.
double CostOf(const ObjectiveRow& objective, const RunStart& run, double waited_seconds,
              double patience_ratio_per_hour);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_OBJECTIVE_H_
