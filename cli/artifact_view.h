// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models and data sets as text. Pure; thread-safe.
#ifndef WATTLE_CLI_ARTIFACT_VIEW_H_
#define WATTLE_CLI_ARTIFACT_VIEW_H_

#include <string>

#include "absl/time/time.h"
#include "cli/text_style.h"

#include "wattle/v1/artifact.pb.h"

namespace wattle::cli {

// Models and jobs' results, or data sets: which one decides the columns.
std::string RenderModels(const v1::ListArtifactsResponse& artifacts, absl::Time now,
                         const TextStyle& style);
std::string RenderDataSets(const v1::ListArtifactsResponse& artifacts, absl::Time now,
                           const TextStyle& style);

// What a push made: "model tiny: 1f2e3d4c5b6a, 7.9 MiB, …".
std::string RenderPushed(const v1::ArtifactInfo& artifact);
// What a removal took: "removed tiny (1f2e3d4c5b6a), 7.9 MiB".
std::string RenderRemoved(const v1::RemoveArtifactResponse& removed);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ARTIFACT_VIEW_H_
