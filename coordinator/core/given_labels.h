// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Labels that operators gave a board by the token that it enrolled with. Labels from the worker are
// unverified and qualify the board for no project's work. Pure.
#ifndef WATTLE_COORDINATOR_CORE_GIVEN_LABELS_H_
#define WATTLE_COORDINATOR_CORE_GIVEN_LABELS_H_

#include "coordinator/core/state.h"
#include "wattle/v1/device.pb.h"

namespace wattle::core {

// Adds the given labels under scheduler::kGivenLabel and removes those that the worker sent under
// this prefix. If no identity has ever enrolled, nothing can be verified, and the worker's labels
// count as given.
void MarkGivenLabels(const State& state, v1::DeviceInfo& device);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_GIVEN_LABELS_H_
