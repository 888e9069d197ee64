// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads one artifact of a worker's cache (file_cache.h) beside the thread that owns the cache: the
// files do not change between commit and removal. Thread-safe.
#ifndef WATTLE_ARTIFACTS_CACHED_ARTIFACT_H_
#define WATTLE_ARTIFACTS_CACHED_ARTIFACT_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"

#include "artifacts/sha256.h"
#include "units/id.h"

namespace wattle::artifacts {

class CachedArtifact {
 public:
  // cache_directory: the FileCache's. Errors: kNotFound; kDataLoss for a damaged manifest; those of
  // base/file.h.
  static absl::StatusOr<CachedArtifact> Open(const std::string& cache_directory,
                                             const ArtifactId& id);

  // Verifies the chunk. kNotFound: the artifact has no such chunk, or no longer exists; kDataLoss:
  // the disk changed the chunk.
  [[nodiscard]] absl::StatusOr<std::string> ReadChunk(const ChunkId& id) const;

 private:
  struct Place {
    std::string path;
    int64_t offset_bytes = 0;
    int64_t size_bytes = 0;
  };

  std::map<ChunkId, Place> places_;
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_CACHED_ARTIFACT_H_
