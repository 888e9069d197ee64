// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests of artifacts: a temporary directory, a clock that is set by hand, files of given sizes.
#ifndef WATTLE_ARTIFACTS_TESTING_STORE_FIXTURE_H_
#define WATTLE_ARTIFACTS_TESTING_STORE_FIXTURE_H_

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "artifacts/blob_store.h"
#include "artifacts/manifest.h"
#include "base/clock.h"
#include "base/testing/test_directory.h"

namespace wattle::artifacts {

class HandClock final : public Clock {
 public:
  [[nodiscard]] absl::Time Now() const override { return now + wall_step; }
  [[nodiscard]] Monotonic Boottime() const override { return Monotonic(now - start); }
  const absl::Time start = absl::FromUnixSeconds(1'800'000'000);
  absl::Time now = start;
  absl::Duration wall_step;  // how far the wall clock was set
};

class StoreFixture : public testing::Test {
 protected:
  [[nodiscard]] std::string Path(const std::string& name) const { return directory_.File(name); }

  std::string WriteFile(const std::string& name, const std::string& bytes) {
    return directory_.Write(name, bytes);
  }
  static std::string ReadFile(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
  }
  // Bytes that differ from chunk to chunk and from seed to seed.
  static std::string Bytes(size_t size, char seed) {
    std::string bytes(size, seed);
    for (size_t at = 0; at < size; at += 997) {
      bytes[at] = static_cast<char>(at / 997 + static_cast<size_t>(seed));
    }
    return bytes;
  }

  std::unique_ptr<BlobStore> OpenStore(BlobStoreOptions options = {}) {
    if (options.directory.empty()) {
      options.directory = Path("store");
    }
    options.free_space_reserve_bytes = 1000;
    absl::StatusOr<std::unique_ptr<BlobStore>> store = BlobStore::Open(options, clock_);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  // Puts the chunks of the file into the store; `chunks_max` of them.
  static void PutChunksOf(BlobStore& store, const v1::Manifest& manifest, const std::string& path,
                          int chunks_max = 1 << 20) {
    for (const v1::ManifestFile& file : manifest.files()) {
      const std::string bytes = ReadFile(SourcePath(path, file));
      for (int i = 0; i < file.chunk_sha256_size() && chunks_max-- > 0; ++i) {
        ASSERT_TRUE(store
                        .PutChunk(ChunkId(file.chunk_sha256(i)),
                                  absl::string_view(bytes).substr(
                                      static_cast<size_t>(i) * kChunkSizeBytes, kChunkSizeBytes))
                        .ok());
      }
    }
  }
  ArtifactId Add(BlobStore& store, const std::string& path) {
    absl::StatusOr<v1::Manifest> manifest = BuildManifest(path);
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    PutChunksOf(store, *manifest, path);
    absl::StatusOr<ArtifactId> id = store.CommitManifest(*manifest);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : ArtifactId();
  }

  TestDirectory directory_;
  HandClock clock_;
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_TESTING_STORE_FIXTURE_H_
