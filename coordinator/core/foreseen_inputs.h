// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Facts about a job's inputs that a plan may use before the inputs exist. Pure.
#ifndef WATTLE_COORDINATOR_CORE_FORESEEN_INPUTS_H_
#define WATTLE_COORDINATOR_CORE_FORESEEN_INPUTS_H_

#include <vector>

#include "absl/status/statusor.h"

#include "coordinator/core/state.h"
#include "scheduler/predict/work.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// The known facts of each input of the spec; for an output that no job has made yet, the facts that
// can be foreseen. archived_sources: see SubmitJob. Errors: kNotFound, kInvalidArgument, naming the
// field.
absl::StatusOr<std::vector<scheduler::InputView>> ForeseeInputs(
    const State& state, const v1::JobSpec& spec, const std::vector<v1::Job>& archived_sources = {});

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_FORESEEN_INPUTS_H_
