// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A board's labels as the fleet's operators gave them, by the token that it enrolled with. What its
// worker tells is its own word, and brings it no work of a project. Pure.
#ifndef WATTLE_COORDINATOR_CORE_GIVEN_LABELS_H_
#define WATTLE_COORDINATOR_CORE_GIVEN_LABELS_H_

#include "coordinator/core/state.h"
#include "wattle/v1/device.pb.h"

namespace wattle::core {

// Adds the given labels under scheduler::kGivenLabel, and takes out what the worker told under it.
// Where nobody has enrolled nothing is proved of anybody, and the worker's labels count as given.
void MarkGivenLabels(const State& state, v1::DeviceInfo& device);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_GIVEN_LABELS_H_
