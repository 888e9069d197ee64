// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A copy of a blob store for a backup, also while its owner writes to it: files of a store never
// change, so they are hard-linked where the file system allows it and copied elsewhere.
// Thread-safe.
#ifndef WATTLE_ARTIFACTS_STORE_COPY_H_
#define WATTLE_ARTIFACTS_STORE_COPY_H_

#include <string>

#include "absl/status/status.h"

namespace wattle::artifacts {

// Copies manifests, pins and chunks from the store in directory `from` into the new directory `to`.
// Every artifact that was committed before the call, and not evicted during it, is in the copy.
// Errors: kNotFound, kAlreadyExists, kPermissionDenied, kResourceExhausted.
absl::Status CopyStore(const std::string& from, const std::string& to);

// The same into a store that may be there already: its own artifacts stay. Nobody else may write to
// either of them meanwhile. Errors: as CopyStore, without kAlreadyExists.
absl::Status AddStore(const std::string& from, const std::string& to);

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_STORE_COPY_H_
