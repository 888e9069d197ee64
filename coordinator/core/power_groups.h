// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks that policies agree on the boards that share a pack or a supply. Pure.
#ifndef WATTLE_COORDINATOR_CORE_POWER_GROUPS_H_
#define WATTLE_COORDINATOR_CORE_POWER_GROUPS_H_

#include <vector>

#include "absl/status/status.h"

#include "coordinator/core/state.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::core {

// Errors: kInvalidArgument, one line, if a group has two caps or a cap that its boards exceed
// without work, or if a device of the fleet would be in two groups.
absl::Status CheckPowerGroups(const State& state, const std::vector<const v1::Policy*>& policies);

// Checks the fleet's policies with `applied` in place of the one of its name.
absl::Status CheckPowerGroupsWith(const State& state, const v1::Policy& applied);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_POWER_GROUPS_H_
