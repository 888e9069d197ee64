// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A copy of a blob store for a backup, also while its owner writes to it: files of a store never
// change, so they are hard-linked if the file system allows it, else copied. Thread-safe.
#ifndef WATTLE_ARTIFACTS_STORE_COPY_H_
#define WATTLE_ARTIFACTS_STORE_COPY_H_

#include <string>

#include "absl/status/status.h"

namespace wattle::artifacts {

// Copies manifests, pins and chunks from the store in directory `from` into the new directory `to`.
// Every artifact that was committed before the call, and not evicted during it, is in the copy.
// Errors: kNotFound, kAlreadyExists, kPermissionDenied, kResourceExhausted.
absl::Status CopyStore(const std::string& from, const std::string& to);

// Copies into a store that may exist already; its own artifacts stay. No other process may write to
// either store meanwhile. Errors: those of CopyStore, without kAlreadyExists.
absl::Status AddStore(const std::string& from, const std::string& to);

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_STORE_COPY_H_
