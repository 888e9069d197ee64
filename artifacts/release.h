// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A release: the folder with a worker's programs, bin/wattle-worker and bin/wattle-runner, and the
// files that they need. Thread-safe.
#ifndef WATTLE_ARTIFACTS_RELEASE_H_
#define WATTLE_ARTIFACTS_RELEASE_H_

#include <string>

#include "absl/status/statusor.h"

namespace wattle::artifacts {

// The architecture that the release's programs are for, "aarch64" or "x86_64", by their ELF heads.
// Errors: kInvalidArgument, one line, for a folder without both programs, and for programs of other
// systems or of two architectures.
absl::StatusOr<std::string> ReleaseArchitecture(const std::string& directory);

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_RELEASE_H_
