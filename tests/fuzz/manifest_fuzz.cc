// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/manifest.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(manifest, bytes) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, artifacts::ParseCanonicalForm(bytes));
  WATTLE_CHECK(artifacts::CanonicalForm(manifest) == bytes, "a manifest has one form");
  for (const v1::ManifestFile& file : manifest.files()) {
    for (int i = 0; i < file.chunk_sha256_size(); ++i) {
      WATTLE_CHECK(artifacts::ChunkSizeBytes(file, i) > 0, "an accepted chunk has bytes");
    }
  }
  return absl::OkStatus();
}
