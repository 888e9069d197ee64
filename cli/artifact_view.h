// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models, data sets and releases as text. Pure; thread-safe.
#ifndef WATTLE_CLI_ARTIFACT_VIEW_H_
#define WATTLE_CLI_ARTIFACT_VIEW_H_

#include <string>

#include "absl/time/time.h"
#include "cli/text_style.h"

#include "wattle/v1/artifact.pb.h"

namespace wattle::cli {

// A table of models (with the results of jobs) or of data sets; each kind has its own columns.
std::string RenderModels(const v1::ListArtifactsResponse& artifacts, absl::Time now,
                         const TextStyle& style);
std::string RenderDataSets(const v1::ListArtifactsResponse& artifacts, absl::Time now,
                           const TextStyle& style);
std::string RenderReleases(const v1::ListArtifactsResponse& artifacts, absl::Time now,
                           const TextStyle& style);

// The line after a push: "model tiny: 1f2e3d4c5b6a, 7.9 MiB, …".
std::string RenderPushed(const v1::ArtifactInfo& artifact);
// The line after a removal: "removed tiny (1f2e3d4c5b6a), 7.9 MiB".
std::string RenderRemoved(const v1::RemoveArtifactResponse& removed);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ARTIFACT_VIEW_H_
