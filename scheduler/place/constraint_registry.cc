// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The list of rules: what a device is, then what it may do now, then what the run would do to it.
#include "scheduler/place/constraint.h"
#include "scheduler/place/constraint_registry_internal.h"

namespace wattle::scheduler {

absl::Span<const Constraint* const> AllConstraints() {
  static const Constraint* const kConstraints[] = {
      &EngineConstraint(),         &LabelsConstraint(),         &MemoryConstraint(),
      &CacheQuotaConstraint(),     &InputsConstraint(),         &AvoidedDeviceConstraint(),
      &ConnectedConstraint(),      &DrainedConstraint(),        &GuardConstraint(),
      &MaxTemperatureConstraint(), &BatteryReserveConstraint(), &DeadlineConstraint(),
  };
  return kConstraints;
}

}  // namespace wattle::scheduler
