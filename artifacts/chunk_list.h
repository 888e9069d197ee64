// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The chunks of an interrupted fetch that are on the disk: a file of their digests, 32 bytes each.
// A digest is added only after the chunk's bytes were synced, so that a resumed fetch need not read
// and hash the received chunks. Half a digest at the end, left by a power cut, does not count. One
// process owns a list. Errors: those of base/file.h.
#ifndef WATTLE_ARTIFACTS_CHUNK_LIST_H_
#define WATTLE_ARTIFACTS_CHUNK_LIST_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "artifacts/sha256.h"

namespace wattle::artifacts {

// kNotFound: the list does not exist.
absl::StatusOr<std::set<ChunkId>> ReadChunkList(const std::string& path);
// Makes the file if it is missing. Durable after OK.
absl::Status AddToChunkList(const std::string& path, const std::vector<ChunkId>& chunks);

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_CHUNK_LIST_H_
