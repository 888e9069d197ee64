// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keeps the indices in State. Private to coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_INDEX_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_INDEX_INTERNAL_H_

#include <cstdint>

#include "coordinator/core/state.h"

namespace wattle::core {

// Brings the indices and counts in line with the job's record. REQUIRES: the state has the job.
void IndexJob(State& state, int64_t job_number);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_INDEX_INTERNAL_H_
