// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a store changes its folder: a new file, synced, and put in its place by a rename; a tree
// removed.
// Thread-safe.
#ifndef WATTLE_ARTIFACTS_NEW_FILE_INTERNAL_H_
#define WATTLE_ARTIFACTS_NEW_FILE_INTERNAL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace wattle::artifacts {

// Creates `path` (it must not exist), writes and fsyncs it, read-only for everybody. A failure
// leaves no file.
absl::Status WriteNewFile(const std::string& path, absl::string_view bytes);

// Removes a file, or a folder with its content. The store's next Open removes any remainder.
void RemoveTree(const std::string& path);

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_NEW_FILE_INTERNAL_H_
