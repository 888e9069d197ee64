// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The commands that models and data sets share: names, pull and rm. Use it from one thread.
#ifndef WATTLE_CLI_ARTIFACT_COMMANDS_H_
#define WATTLE_CLI_ARTIFACT_COMMANDS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/session.h"

#include "wattle/v1/artifact.pb.h"

namespace wattle::cli {

// Checks the name of a model or data set. A job file refers to an artifact by its name, by its id
// or the beginning of its id, or as job:ID/output. A name therefore must not look like an id or
// like job:ID/output.
absl::Status CheckArtifactName(const std::string& name);

// Removes the artifact or its name. kind: the command's, model or data set; the coordinator refuses
// an artifact of the other kind.
absl::StatusOr<ExitCode> RemoveArtifact(Session& session, const std::string& reference,
                                        v1::ArtifactKind kind);
// Fetches the artifact into a new directory. The directory appears whole or not at all.
absl::StatusOr<ExitCode> PullArtifact(Session& session, const std::string& reference,
                                      const std::string& directory);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ARTIFACT_COMMANDS_H_
