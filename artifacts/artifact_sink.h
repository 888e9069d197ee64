// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where a fetched artifact goes: a store of chunks (BlobStore) or a cache of files (FileCache).
#ifndef WATTLE_ARTIFACTS_ARTIFACT_SINK_H_
#define WATTLE_ARTIFACTS_ARTIFACT_SINK_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "artifacts/sha256.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"

namespace wattle::artifacts {

class ArtifactSink {
 public:
  virtual ~ArtifactSink() = default;

  [[nodiscard]] virtual bool HasArtifact(const ArtifactId& id) const = 0;
  virtual void Touch(const ArtifactId& id) = 0;  // counts as a use

  // An artifact is to come: makes room, and returns the chunks that are not there yet, each once,
  // in order of first use. manifest: valid. kResourceExhausted: no room, and how much is missing.
  virtual absl::StatusOr<std::vector<ChunkId>> BeginFetch(const v1::Manifest& manifest) = 0;
  // kDataLoss: the bytes are not those of `id`.
  virtual absl::Status PutChunk(const ChunkId& id, absl::string_view bytes) = 0;
  // Makes the artifact exist, durably. kFailedPrecondition: chunks are missing.
  virtual absl::StatusOr<ArtifactId> CommitManifest(const v1::Manifest& manifest) = 0;
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_ARTIFACT_SINK_H_
