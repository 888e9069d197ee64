// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reasons to keep an artifact: a name, an open job, an upgrade. Pure.
#ifndef WATTLE_COORDINATOR_CORE_NEEDED_ARTIFACTS_H_
#define WATTLE_COORDINATOR_CORE_NEEDED_ARTIFACTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

#include "coordinator/core/state.h"
#include "units/id.h"

namespace wattle::core {

// The open jobs that need the artifact: as an input, as the model that a live attempt runs, or as
// the checkpoint to resume from.
std::vector<std::string> OpenJobsWith(const State& state, const ArtifactId& artifact);
std::vector<std::string> NamesOf(const State& state, const ArtifactId& artifact);
// Checks that the store may evict the artifact. Errors: kFailedPrecondition names what needs it.
absl::Status CheckNotNeeded(const State& state, const ArtifactId& artifact);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_NEEDED_ARTIFACTS_H_
