// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Jobs that would fail on every device, told before a device wastes joules on them. Pure.
#ifndef WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_
#define WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_

#include <string>
#include <vector>

#include "scheduler/place/snapshot.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Why the job would fail whatever the device, with the remedy; empty: nothing known against it.
// Looks at what the spec and the records of its inputs tell: a sequence longer than the model's
// context, an int8 model to train or to quantize again.
std::string CertainFailure(const v1::JobSpec& spec,
                           const std::vector<scheduler::InputView>& inputs);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_
