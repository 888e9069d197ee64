// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a placement costs. To add an objective: a small file, a value in spec.proto, a line in
// objective_registry.cc. Thread-safe: objectives have no state.
#ifndef WATTLE_SCHEDULER_PLACE_OBJECTIVE_H_
#define WATTLE_SCHEDULER_PLACE_OBJECTIVE_H_

#include <string>

#include "scheduler/place/constraint.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

class ObjectiveFunction {
 public:
  ObjectiveFunction() = default;
  ObjectiveFunction(const ObjectiveFunction&) = delete;
  ObjectiveFunction& operator=(const ObjectiveFunction&) = delete;
  virtual ~ObjectiveFunction() = default;
  [[nodiscard]] virtual v1::Objective objective() const = 0;
  // Lower is better, at least 0. Equal costs (to four digits) are decided by the earlier end.
  [[nodiscard]] virtual double Cost(const v1::Candidate& candidate) const = 0;
  // "36.33 Wh": the cost for people.
  [[nodiscard]] virtual std::string Format(double cost) const = 0;
};

// OBJECTIVE_UNSPECIFIED is energy.
const ObjectiveFunction& ObjectiveOf(v1::Objective objective);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_OBJECTIVE_H_
