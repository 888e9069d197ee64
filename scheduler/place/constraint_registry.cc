// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The list of rules: what a device is, then what it may do now, then what the run would do to it.
// The guard comes after the policies that it enforces: these name the policy and the remedy; the
// guard refuses alone only while its hysteresis lasts.
#include "scheduler/place/constraint.h"
#include "scheduler/place/constraint_registry_internal.h"

namespace wattle::scheduler {

absl::Span<const Constraint* const> AllConstraints() {
  static const Constraint* const kConstraints[] = {
      &EngineConstraint(),         &LabelsConstraint(),  &MemoryConstraint(),
      &CacheQuotaConstraint(),     &InputsConstraint(),  &AvoidedDeviceConstraint(),
      &ConnectedConstraint(),      &DrainedConstraint(), &MaxTemperatureConstraint(),
      &BatteryReserveConstraint(), &GuardConstraint(),   &DeadlineConstraint(),
  };
  return kConstraints;
}

}  // namespace wattle::scheduler
