// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds jobs that would fail on every device, before a device spends joules on them. Pure.
#ifndef WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_
#define WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_

#include <string>
#include <vector>

#include "scheduler/place/snapshot.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Why the job would fail on every device, with the remedy; empty if nothing is known against the
// job. CertainFailure reads the spec and the records of its inputs, and finds a sequence longer
// than the model's context, and a quantized model that is to be trained or quantized again.
std::string CertainFailure(const v1::JobSpec& spec,
                           const std::vector<scheduler::InputView>& inputs);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_CERTAIN_FAILURE_H_
