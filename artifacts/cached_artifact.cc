// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/cached_artifact.h"

#include <fstream>
#include <ios>

#include "absl/strings/str_cat.h"

#include "artifacts/manifest.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace wattle::artifacts {

absl::StatusOr<CachedArtifact> CachedArtifact::Open(const std::string& cache_directory,
                                                    const ArtifactId& id) {
  // The id becomes part of a path.
  if (!IsArtifactId(id.value())) {
    return absl::NotFoundError(
        absl::StrCat("artifact \"", id.value(), "\": is no artifact's id (64 hex digits)"));
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string form,
                          ReadWholeFile(absl::StrCat(cache_directory, "/manifests/", id.value())));
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, ParseCanonicalForm(form));
  if (Sha256Hex(form) != id.value()) {
    return absl::DataLossError(absl::StrCat("artifact ", id.value(), ": its manifest is damaged"));
  }
  CachedArtifact artifact;
  for (const v1::ManifestFile& file : manifest.files()) {
    const std::string path = absl::StrCat(cache_directory, "/files/", id.value(), "/", file.path());
    for (int i = 0; i < file.chunk_sha256_size(); ++i) {
      artifact.places_.try_emplace(ChunkId(file.chunk_sha256(i)),
                                   Place{path, i * kChunkSizeBytes, ChunkSizeBytes(file, i)});
    }
  }
  return artifact;
}

absl::StatusOr<std::string> CachedArtifact::ReadChunk(const ChunkId& id) const {
  const auto place = places_.find(id);
  if (place == places_.end()) {
    return absl::NotFoundError(absl::StrCat("chunk ", ToHex(id), ": the artifact has none such"));
  }
  std::ifstream in(place->second.path, std::ios::binary);
  if (!in) {
    return absl::NotFoundError(absl::StrCat(place->second.path, ": is no longer in the cache"));
  }
  std::string bytes(static_cast<size_t>(place->second.size_bytes), '\0');
  in.seekg(place->second.offset_bytes);
  in.read(bytes.data(), place->second.size_bytes);
  if (in.gcount() != place->second.size_bytes || Sha256(bytes) != id) {
    return absl::DataLossError(absl::StrCat(place->second.path, ": changed on the disk"));
  }
  return bytes;
}

}  // namespace wattle::artifacts
