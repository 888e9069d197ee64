// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The list of objectives.
#include "scheduler/place/constraint_registry_internal.h"
#include "scheduler/place/objective.h"

namespace wattle::scheduler {

const ObjectiveFunction& ObjectiveOf(v1::Objective objective) {
  for (const ObjectiveFunction* function :
       {&EnergyObjective(), &TimeObjective(), &EdpObjective()}) {
    if (function->objective() == objective) {
      return *function;
    }
  }
  return EnergyObjective();
}

}  // namespace wattle::scheduler
