// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/power_groups.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "scheduler/place/rules/selector.h"

namespace wattle::core {
namespace {

absl::Status CheckCaps(const std::vector<const v1::Policy*>& policies) {
  std::map<std::string, const v1::Policy*> capped;
  for (const v1::Policy* const policy : policies) {
    const v1::PowerGroup& group = policy->power_group();
    if (group.power_cap_watts() <= 0) {
      continue;
    }
    const v1::Policy& first = *capped.emplace(group.name(), policy).first->second;
    if (first.power_group().power_cap_watts() != group.power_cap_watts()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "policy.power_group.power_cap_watts: power group ", group.name(), " has ",
          first.power_group().power_cap_watts(), " W in policy ", first.name(), " and ",
          group.power_cap_watts(), " W in policy ", policy->name(), "; write the cap once"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDevice(const v1::DeviceInfo& device,
                         const std::vector<const v1::Policy*>& policies) {
  const v1::Policy* first = nullptr;
  for (const v1::Policy* const policy : policies) {
    if (!policy->has_power_group() || !scheduler::Selects(*policy, device)) {
      continue;
    }
    if (first != nullptr && first->power_group().name() != policy->power_group().name()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "policy.power_group: ", device.name(), " would be in two groups, ",
          first->power_group().name(), " (policy ", first->name(), ") and ",
          policy->power_group().name(), " (policy ", policy->name(), "); change a selector"));
    }
    first = policy;
  }
  return absl::OkStatus();
}

bool IsInGroup(const v1::DeviceInfo& device, const std::string& group,
               const std::vector<const v1::Policy*>& policies) {
  return std::any_of(policies.begin(), policies.end(), [&](const v1::Policy* policy) {
    return policy->has_power_group() && policy->power_group().name() == group &&
           scheduler::Selects(*policy, device);
  });
}

// A cap that the boards exceed without work would let no job ever run.
absl::Status CheckIdle(const State& state, const v1::Policy& capped,
                       const std::vector<const v1::Policy*>& policies) {
  const v1::PowerGroup& group = capped.power_group();
  double idle_watts = 0;
  int boards = 0;
  for (const auto& [id, record] : state.devices) {
    if (!record.removed() && IsInGroup(record.info(), group.name(), policies)) {
      idle_watts += record.info().idle_power_watts();
      ++boards;
    }
  }
  if (idle_watts < group.power_cap_watts()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "policy.power_group.power_cap_watts: power group ", group.name(), " has a cap of ",
      group.power_cap_watts(), " W in policy ", capped.name(), ", and its ", boards,
      boards == 1 ? " board draws " : " boards draw ", idle_watts,
      " W without work; want a higher cap, or fewer boards by the selector"));
}

}  // namespace

absl::Status CheckPowerGroups(const State& state, const std::vector<const v1::Policy*>& policies) {
  WATTLE_RETURN_IF_ERROR(CheckCaps(policies));
  for (const v1::Policy* const policy : policies) {
    if (policy->power_group().power_cap_watts() > 0) {
      WATTLE_RETURN_IF_ERROR(CheckIdle(state, *policy, policies));
    }
  }
  for (const auto& [id, record] : state.devices) {
    if (!record.removed()) {
      WATTLE_RETURN_IF_ERROR(CheckDevice(record.info(), policies));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPowerGroupsWith(const State& state, const v1::Policy& applied) {
  if (!applied.has_power_group()) {
    return absl::OkStatus();
  }
  std::vector<const v1::Policy*> policies;
  for (const auto& [name, policy] : state.policies) {
    if (name != applied.name()) {
      policies.push_back(&policy);
    }
  }
  policies.push_back(&applied);
  return CheckPowerGroups(state, policies);
}

}  // namespace wattle::core
