// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One function for each rule and objective; only the registries use it.
#ifndef WATTLE_SCHEDULER_PLACE_CONSTRAINT_REGISTRY_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_CONSTRAINT_REGISTRY_INTERNAL_H_

#include "scheduler/place/constraint.h"
#include "scheduler/place/objective.h"

namespace wattle::scheduler {

const Constraint& AvoidedDeviceConstraint();
const Constraint& BatteryReserveConstraint();
const Constraint& CacheQuotaConstraint();
const Constraint& ConnectedConstraint();
const Constraint& DeadlineConstraint();
const Constraint& DrainedConstraint();
const Constraint& EngineConstraint();
const Constraint& GuardConstraint();
const Constraint& InputsConstraint();
const Constraint& LabelsConstraint();
const Constraint& MaxTemperatureConstraint();
const Constraint& MemoryConstraint();

const ObjectiveFunction& EdpObjective();
const ObjectiveFunction& EnergyObjective();
const ObjectiveFunction& TimeObjective();

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_CONSTRAINT_REGISTRY_INTERNAL_H_
