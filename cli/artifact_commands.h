// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What models and data sets have in common: they are fetched and removed alike. One thread.
#ifndef WATTLE_CLI_ARTIFACT_COMMANDS_H_
#define WATTLE_CLI_ARTIFACT_COMMANDS_H_

#include <string>

#include "absl/status/statusor.h"
#include "cli/session.h"

#include "wattle/v1/artifact.pb.h"

namespace wattle::cli {

// kind: what the person takes it for; the coordinator refuses another one.
absl::StatusOr<ExitCode> RemoveArtifact(Session& session, const std::string& reference,
                                        v1::ArtifactKind kind);
// Into a new directory, whole or not at all.
absl::StatusOr<ExitCode> PullArtifact(Session& session, const std::string& reference,
                                      const std::string& directory);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ARTIFACT_COMMANDS_H_
