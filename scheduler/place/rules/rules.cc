// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The list of rules: first the device's properties, then its present state, then the effects of the
// run. The guard comes after the policies that it enforces, because their rules name the policy and
// the remedy. The guard is the only reason for a refusal during its hysteresis.
#include "scheduler/place/rules/rule.h"

namespace wattle::scheduler {

// Each rule stands beside its function.
extern const Rule kEngineRule, kWorkerVersionRule, kProcessorRule, kBf16Rule, kBf16WeightsRule,
    kLabelsRule, kQualityFloorRule, kMemoryRule, kCacheQuotaRule, kInputsRule, kAvoidedDeviceRule,
    kAntiAffinityRule, kApprovalRule, kConnectedRule, kDrainedRule, kStorageRule,
    kMemoryPressureRule, kOwnerHoldRule, kMaxTemperatureRule, kBatteryReserveRule, kWorkWindowsRule,
    kLinkWindowsRule, kDailyBudgetRule, kPowerCapRule, kGuardRule, kDeadlineRule, kEnergyBudgetRule,
    kExplorationRule;

absl::Span<const Rule> Rules() {
  static const Rule kRules[] = {
      kEngineRule,         kWorkerVersionRule, kProcessorRule,      kBf16Rule,
      kBf16WeightsRule,    kLabelsRule,        kQualityFloorRule,   kMemoryRule,
      kCacheQuotaRule,     kInputsRule,        kAvoidedDeviceRule,  kAntiAffinityRule,
      kApprovalRule,       kConnectedRule,     kDrainedRule,        kStorageRule,
      kMemoryPressureRule, kOwnerHoldRule,     kMaxTemperatureRule, kBatteryReserveRule,
      kWorkWindowsRule,    kLinkWindowsRule,   kDailyBudgetRule,    kPowerCapRule,
      kGuardRule,          kDeadlineRule,      kEnergyBudgetRule,   kExplorationRule,
  };
  return kRules;
}

}  // namespace wattle::scheduler
