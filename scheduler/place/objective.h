// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The cost of a placement. An objective is a row of the table in objective.cc. To add one: its row,
// and a value in spec.proto. Thread-safe: objectives have no state.
#ifndef WATTLE_SCHEDULER_PLACE_OBJECTIVE_H_
#define WATTLE_SCHEDULER_PLACE_OBJECTIVE_H_

#include <string>

#include "wattle/v1/plan.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

struct ObjectiveRow {
  v1::Objective objective;
  // The cost of a feasible candidate for a job that was submitted `waited_seconds` ago. The cost is
  // at least 0; less is better.
  double (*cost)(const v1::Candidate& candidate, double waited_seconds);
  // True if the cost is energy alone. Two candidates whose costs differ by less than the
  // predictions' error are then equal, and the earlier end decides (consider_internal.h).
  bool equal_within_error;
  std::string (*format)(double cost);  // "36.33 Wh": the cost for people.
  // The cost of one unit of work, by which two models on one device are compared.
  double (*cost_per_unit)(double seconds, double net_joules);
  const char* unit;  // Of cost_per_unit: "J".
};

// The objective's row. OBJECTIVE_UNSPECIFIED means energy.
const ObjectiveRow& ObjectiveOf(v1::Objective objective);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_OBJECTIVE_H_
