// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matching of labels; the strictest policy.
#include "scheduler/place/selector.h"

#include "absl/strings/str_split.h"

#include "scheduler/predict/predict.h"

namespace wattle::scheduler {

bool HasLabel(const v1::DeviceInfo& device, absl::string_view selector) {
  const std::vector<absl::string_view> parts = absl::StrSplit(selector, absl::MaxSplits('=', 1));
  for (const v1::Label& label : device.labels()) {
    if (label.key() == parts[0] && (parts.size() == 1 || label.value() == parts[1])) {
      return true;
    }
  }
  return false;
}

bool Selects(const v1::Policy& policy, const v1::DeviceInfo& device) {
  for (const std::string& selector : policy.selector()) {
    if (!HasLabel(device, selector)) {
      return false;
    }
  }
  return true;
}

std::optional<Limit> ReserveLimit(const std::vector<v1::Policy>& policies,
                                  const v1::DeviceInfo& device) {
  std::optional<Limit> strictest;
  for (const v1::Policy& policy : policies) {
    const double reserve = policy.reserve_state_of_charge_ratio();
    if (reserve > 0 && Selects(policy, device) &&
        (!strictest.has_value() || reserve > strictest->value)) {
      strictest = Limit{reserve, policy.name()};
    }
  }
  return strictest;
}

std::optional<Limit> TemperatureLimit(const std::vector<v1::Policy>& policies,
                                      const v1::DeviceInfo& device) {
  std::optional<Limit> strictest;
  for (const v1::Policy& policy : policies) {
    const double limit = policy.max_temperature_celsius();
    if (limit > 0 && Selects(policy, device) &&
        (!strictest.has_value() || limit < strictest->value)) {
      strictest = Limit{limit, policy.name()};
    }
  }
  return strictest;
}

Joules GrossDemand(const v1::Prediction& prediction, Joules run_energy) {
  const double around_joules = MarginalEnergyJoules(prediction) - prediction.net_energy_joules();
  return run_energy + Joules(around_joules + prediction.idle_power_watts() *
                                                 TotalSeconds(prediction, /*run_seconds=*/0));
}

}  // namespace wattle::scheduler
