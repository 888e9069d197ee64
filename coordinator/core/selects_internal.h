// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matches policies to devices by label. Private to coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_SELECTS_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_SELECTS_INTERNAL_H_

#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::core {

// Whether the device has each label that the policy names ("key=value" or "key").
bool Selects(const v1::Policy& policy, const v1::DeviceInfo& device);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_SELECTS_INTERNAL_H_
