// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/cached_artifact.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/file_cache.h"
#include "artifacts/manifest.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::artifacts {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CachedArtifactTest : public testing::Test {
 protected:
  CachedArtifactTest() {
    fs::create_directory(directory_.File("model"));
    std::ofstream(directory_.File("model/weights"), std::ios::binary)
        << std::string(kChunkSizeBytes, 'w') << "the last chunk";
    std::ofstream(directory_.File("model/config"), std::ios::binary) << "{}";
    manifest_ = *BuildManifest(directory_.File("model"));
    id_ = IdOf(manifest_);
    DiskBudget budget;
    budget.directory = cache_directory_;
    auto cache = FileCache::Open(budget, Clock::Real());
    EXPECT_THAT(cache, IsOk());
    cache_ = *std::move(cache);
    EXPECT_THAT(cache_->BeginFetch(manifest_), IsOk());
    for (const std::string& chunk :
         {std::string(kChunkSizeBytes, 'w'), std::string("the last chunk"), std::string("{}")}) {
      EXPECT_THAT(cache_->PutChunk(Sha256(chunk), chunk), IsOk());
    }
  }
  absl::StatusOr<std::string> Read(const std::string& chunk) const {
    const auto artifact = CachedArtifact::Open(cache_directory_, id_);
    return artifact.ok() ? artifact->ReadChunk(Sha256(chunk)) : artifact.status();
  }

  TestDirectory directory_;
  const std::string cache_directory_ = directory_.File("cache");
  v1::Manifest manifest_;
  ArtifactId id_;
  std::unique_ptr<FileCache> cache_;
};

TEST_F(CachedArtifactTest, GivesTheChunksOfAWholeArtifactAlone) {
  EXPECT_THAT(Read("{}"), StatusIs(absl::StatusCode::kNotFound, testing::_)) << "not whole yet";
  ASSERT_THAT(cache_->CommitManifest(manifest_), IsOk());
  EXPECT_EQ(*Read("{}"), "{}");
  EXPECT_EQ(*Read("the last chunk"), "the last chunk");
  EXPECT_EQ(Read(std::string(kChunkSizeBytes, 'w'))->size(), size_t{kChunkSizeBytes});
  EXPECT_THAT(Read("of another artifact"), StatusIs(absl::StatusCode::kNotFound, testing::_));
  ASSERT_THAT(cache_->Remove(id_), IsOk());
  EXPECT_THAT(Read("{}"), StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_F(CachedArtifactTest, NeverGivesWhatTheCardHasChanged) {
  ASSERT_THAT(cache_->CommitManifest(manifest_), IsOk());
  const std::string file = cache_directory_ + "/files/" + id_.value() + "/config";
  fs::permissions(file, fs::perms::owner_all);
  std::ofstream(file, std::ios::binary) << "[]";
  EXPECT_THAT(Read("{}"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("changed on the disk")));
  std::ofstream(file, std::ios::binary) << "{";
  EXPECT_THAT(Read("{}"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("changed on the disk")));
}

TEST_F(CachedArtifactTest, AnIdThatIsAPathLeadsNowhere) {
  EXPECT_THAT(CachedArtifact::Open(cache_directory_, ArtifactId("../../etc/passwd")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no artifact's id")));
}

}  // namespace
}  // namespace wattle::artifacts
