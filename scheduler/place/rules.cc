// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The table of rules: first the device's properties, then its present state, then the effects of
// the run. The guard comes after the policies that it enforces, because these name the policy and
// the remedy. The guard alone refuses only during its hysteresis.
#include "scheduler/place/rule.h"
#include "scheduler/place/rules_internal.h"

namespace wattle::scheduler {

absl::Span<const Rule> Rules() {
  static constexpr Rule kRules[] = {
      {"engine", RuleScope::kDevice, CheckEngine},
      {"worker_version", RuleScope::kDevice, CheckWorkerVersion},
      {"labels", RuleScope::kDevice, CheckLabels},
      {"quality_floor", RuleScope::kDevice, CheckQualityFloor},
      {"memory", RuleScope::kLoad, CheckMemory},
      {"cache_quota", RuleScope::kDevice, CheckCacheQuota},
      {"inputs", RuleScope::kDevice, CheckInputs},
      {"avoided_device", RuleScope::kDevice, CheckAvoidedDevice},
      {"connected", RuleScope::kDevice, CheckConnected},
      {"drained", RuleScope::kDevice, CheckDrained},
      {"max_temperature", RuleScope::kDevice, CheckMaxTemperature},
      {"battery_reserve", RuleScope::kLoad, CheckBatteryReserve},
      {"work_windows", RuleScope::kLoad, CheckWorkWindows},
      {"daily_energy_budget", RuleScope::kLoad, CheckDailyBudget},
      {"guard", RuleScope::kDevice, CheckGuard},
      {"deadline", RuleScope::kLoad, CheckDeadline},
  };
  return kRules;
}

}  // namespace wattle::scheduler
