// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Maintains the indices in State. Private to coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_INDEX_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_INDEX_INTERNAL_H_

#include <cstdint>
#include <string>

#include "coordinator/core/state.h"
#include "units/id.h"

namespace wattle::core {

// Updates the indices and counts for the job's record. REQUIRES: the state has the job.
void IndexJob(State& state, int64_t job_number);

// Maintains State::other_uploads. Does nothing for a job that is not open.
void NoteOtherUpload(State& state, const std::string& job_id, const ArtifactId& artifact);
void ForgetOtherUploads(State& state, const ArtifactId& artifact);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_INDEX_INTERNAL_H_
