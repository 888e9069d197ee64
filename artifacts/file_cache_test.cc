// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/file_cache.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/testing/store_fixture.h"
#include "base/testing/status_matchers.h"

namespace wattle::artifacts {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FileCacheTest : public StoreFixture {
 protected:
  FileCacheTest() { Open(); }
  void Open() {
    DiskBudget budget = {.directory = Path("cache"),
                         .quota_bytes = quota_bytes_,
                         .reserve_bytes = 1000,
                         .others = [this] { return others_bytes_; },
                         .free_space = [this](const std::string&) -> absl::StatusOr<int64_t> {
                           return free_bytes_;
                         }};
    auto cache = FileCache::Open(std::move(budget), clock_);
    ASSERT_TRUE(cache.ok()) << cache.status();
    cache_ = *std::move(cache);
  }
  // Fetches the files under `path` chunk by chunk, `chunks_max` of those that are missing.
  absl::Status Fetch(const std::string& path, int chunks_max = 1 << 20) {
    manifest_ = *BuildManifest(path);
    absl::StatusOr<std::vector<ChunkId>> missing = cache_->BeginFetch(manifest_);
    if (!missing.ok()) {
      return missing.status();
    }
    travelled_ = 0;
    const auto store = OpenStore({.directory = Path("remote")});
    PutChunksOf(*store, manifest_, path);
    for (const ChunkId& id : *missing) {
      if (travelled_ == chunks_max) {
        return absl::UnavailableError("the link broke");
      }
      ++travelled_;
      const absl::Status put = cache_->PutChunk(id, *store->ReadChunk(id));
      if (!put.ok()) {
        return put;
      }
    }
    clock_.now += absl::Minutes(1);
    return cache_->CommitManifest(manifest_).status();
  }
  [[nodiscard]] ArtifactId Id() const { return IdOf(manifest_); }
  // Content of `chunks` chunks with distinct bytes.
  static std::string Distinct(int chunks) {
    std::string bytes;
    for (int i = 0; i < chunks; ++i) {
      bytes += Bytes(kChunkSizeBytes, static_cast<char>('a' + i));
    }
    return bytes;
  }
  // Bytes of all files below the cache.
  [[nodiscard]] int64_t BytesOnDisk() const {
    return TreeSizeBytes(Path("cache/files")) + TreeSizeBytes(Path("cache/incoming"));
  }

  int64_t quota_bytes_ = 0;
  int64_t others_bytes_ = 0;
  int64_t free_bytes_ = int64_t{1} << 40;
  std::unique_ptr<FileCache> cache_;
  v1::Manifest manifest_;
  int travelled_ = 0;
};

TEST_F(FileCacheTest, AnArtifactIsStoredOnceAsItsFiles) {
  const std::string weights = Bytes(2 * kChunkSizeBytes + 7, 'w');
  WriteFile("model/sub/weights", weights);
  WriteFile("model/config.json", "{}");
  WriteFile("model/empty", "");
  ASSERT_THAT(Fetch(Path("model")), IsOk());
  const auto files = cache_->OpenVerified(Id(), {});
  ASSERT_THAT(files, IsOk());
  EXPECT_EQ(ReadFile(files->directory + "/sub/weights"), weights);
  EXPECT_EQ(ReadFile(files->directory + "/config.json"), "{}");
  EXPECT_EQ(ReadFile(files->directory + "/empty"), "");
  EXPECT_EQ(BytesOnDisk(), static_cast<int64_t>(weights.size()) + 2);
  EXPECT_EQ(cache_->used_bytes(), BytesOnDisk());
  Open();
  EXPECT_THAT(cache_->ListArtifacts(), ElementsAre(Id()));
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
}

// Trial: a byte flipped in the cached model gave other weights, and the job succeeded.
TEST_F(FileCacheTest, AFlippedByteIsFoundBeforeAJobReadsItAndFetchedAgain) {
  const std::string path = WriteFile("data", Bytes(kChunkSizeBytes + 9, 'd'));
  ASSERT_THAT(Fetch(path), IsOk());
  const std::string cached = cache_->OpenVerified(Id(), {})->directory + "/data";
  std::filesystem::permissions(cached, std::filesystem::perms::owner_all);
  std::fstream file(cached, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(kChunkSizeBytes + 3);
  file.put('!');
  file.close();
  EXPECT_THAT(cache_->OpenVerified(Id(), {}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("changed on the disk")));
  EXPECT_FALSE(cache_->HasArtifact(Id()));
  ASSERT_THAT(Fetch(path), IsOk());
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
}

// A card that refuses to read now may read later, and the model may be whole: a directory in the
// file's place refuses too.
TEST_F(FileCacheTest, AnArtifactThatTheDiskRefusesToReadStays) {
  ASSERT_THAT(Fetch(WriteFile("data", Bytes(5000, 'd'))), IsOk());
  const std::string cached = cache_->OpenVerified(Id(), {})->directory + "/data";
  std::filesystem::rename(cached, Path("aside"));
  std::filesystem::create_directory(cached);
  EXPECT_THAT(cache_->OpenVerified(Id(), {}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("cannot read")));
  EXPECT_TRUE(cache_->HasArtifact(Id()));
  std::filesystem::remove(cached);
  std::filesystem::rename(Path("aside"), cached);
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
}

TEST_F(FileCacheTest, AnArtifactWhoseManifestTheDiskRefusesToReadIsThereOnceItCanBeRead) {
  ASSERT_THAT(Fetch(WriteFile("data", Bytes(5000, 'd'))), IsOk());
  const std::string manifest = Path("cache/manifests/") + Id().value();
  std::filesystem::rename(manifest, Path("aside"));
  std::filesystem::create_symlink(manifest, manifest);
  Open();
  EXPECT_FALSE(cache_->HasArtifact(Id()));
  std::filesystem::remove(manifest);
  std::filesystem::rename(Path("aside"), manifest);
  Open();
  EXPECT_TRUE(cache_->HasArtifact(Id()));
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
}

TEST_F(FileCacheTest, AFileThatIsCutShortIsNoArtifactAfterAStart) {
  const std::string path = WriteFile("data", Bytes(5000, 'd'));
  ASSERT_THAT(Fetch(path), IsOk());
  const std::string cached = cache_->OpenVerified(Id(), {})->directory + "/data";
  std::filesystem::permissions(cached, std::filesystem::perms::owner_all);
  std::filesystem::resize_file(cached, 4999);
  Open();
  EXPECT_FALSE(cache_->HasArtifact(Id()));
  EXPECT_EQ(BytesOnDisk(), 0);
}

TEST_F(FileCacheTest, AnInterruptedFetchGoesOnWhereItWasAlsoAfterARestart) {
  const std::string path = WriteFile("data", Bytes(5 * kChunkSizeBytes, 'd'));
  EXPECT_THAT(Fetch(path, 3), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  EXPECT_FALSE(cache_->HasArtifact(Id()));
  Open();
  ASSERT_THAT(Fetch(path), IsOk());
  EXPECT_EQ(travelled_, 2);
  EXPECT_EQ(BytesOnDisk(), 5 * kChunkSizeBytes);
}

TEST_F(FileCacheTest, AChunkOfAnotherArtifactDoesNotTravelAgain) {
  const std::string shared = Bytes(kChunkSizeBytes, 's');
  WriteFile("one/shared", shared);
  WriteFile("two/first", shared);
  WriteFile("two/second", shared);
  WriteFile("two/own", "own");
  ASSERT_THAT(Fetch(Path("one")), IsOk());
  ASSERT_THAT(Fetch(Path("two")), IsOk());
  EXPECT_EQ(travelled_, 1);
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
}

// The fetch is resumed after each minute of link: reading and hashing all received chunks would
// take a board longer than the minute.
TEST_F(FileCacheTest, AResumedFetchTrustsItsListAndTheLastCheckFindsWhatTheCardChanged) {
  const std::string path = WriteFile("data", Distinct(5));
  EXPECT_THAT(Fetch(path, 3), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  Open();
  std::fstream file(Path("cache/incoming/" + Id().value() + "/data"),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3);
  file.put('!');
  file.close();
  ASSERT_THAT(Fetch(path), IsOk());
  EXPECT_EQ(travelled_, 2);
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), StatusIs(absl::StatusCode::kDataLoss, testing::_));
  ASSERT_THAT(Fetch(path), IsOk());
  EXPECT_EQ(travelled_, 5);
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
}

TEST_F(FileCacheTest, HalfADigestAtTheEndOfTheListIsNoChunk) {
  const std::string path = WriteFile("data", Distinct(5));
  EXPECT_THAT(Fetch(path, 3), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  Open();
  const std::string list = "cache/received/" + Id().value();
  std::filesystem::resize_file(Path(list), 2 * kSha256Bytes + 7);
  EXPECT_THAT(Fetch(path, 1), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  Open();
  ASSERT_THAT(Fetch(path), IsOk());
  EXPECT_EQ(travelled_, 2);
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
  EXPECT_FALSE(std::filesystem::exists(Path(list)));
}

TEST_F(FileCacheTest, AListWithoutItsFilesDoesNotCount) {
  const std::string path = WriteFile("data", Distinct(3));
  EXPECT_THAT(Fetch(path, 2), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  Open();
  std::filesystem::remove_all(Path("cache/incoming/" + Id().value()));
  ASSERT_THAT(Fetch(path), IsOk());
  EXPECT_EQ(travelled_, 3);
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
}

TEST_F(FileCacheTest, WhatAnOlderWorkerFetchedWithoutAListIsFoundByItsChecksums) {
  const std::string path = WriteFile("data", Distinct(5));
  EXPECT_THAT(Fetch(path, 3), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  Open();
  std::filesystem::remove(Path("cache/received/" + Id().value()));
  EXPECT_THAT(Fetch(path, 1), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  EXPECT_EQ(travelled_, 1);
  Open();
  ASSERT_THAT(Fetch(path), IsOk());
  EXPECT_EQ(travelled_, 1);
  EXPECT_THAT(cache_->OpenVerified(Id(), {}), IsOk());
}

TEST_F(FileCacheTest, ADamagedOrUnwantedChunkIsRefused) {
  const v1::Manifest manifest = *BuildManifest(WriteFile("data", "bytes"));
  ASSERT_THAT(cache_->BeginFetch(manifest), IsOk());
  EXPECT_THAT(cache_->PutChunk(Sha256("bytes"), "bytez"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("changed on the way")));
  EXPECT_THAT(cache_->PutChunk(Sha256("other"), "other"),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
  EXPECT_THAT(cache_->CommitManifest(manifest),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("1 chunks are missing")));
}

TEST_F(FileCacheTest, TheQuotaCountsCheckpointsTooAndTheLongestUnusedGoesFirst) {
  quota_bytes_ = 3500;
  Open();
  ASSERT_THAT(Fetch(WriteFile("a", Bytes(1000, 'a'))), IsOk());
  const ArtifactId a = Id();
  ASSERT_THAT(Fetch(WriteFile("b", Bytes(1000, 'b'))), IsOk());
  const ArtifactId b = Id();
  clock_.now += absl::Minutes(1);
  cache_->Touch(a);
  others_bytes_ = 1000;
  ASSERT_THAT(Fetch(WriteFile("c", Bytes(1000, 'c'))), IsOk());
  EXPECT_TRUE(cache_->HasArtifact(a));
  EXPECT_FALSE(cache_->HasArtifact(b));
  EXPECT_TRUE(cache_->HasArtifact(Id()));
}

TEST_F(FileCacheTest, WhatJobsNeedStaysAndARefusalNamesTheRemedy) {
  quota_bytes_ = 1500;
  Open();
  ASSERT_THAT(Fetch(WriteFile("a", Bytes(1000, 'a'))), IsOk());
  const ArtifactId a = Id();
  cache_->KeepOnly({a});
  EXPECT_THAT(Fetch(WriteFile("b", Bytes(1000, 'b'))),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("raise the quota")));
  EXPECT_TRUE(cache_->HasArtifact(a));
  cache_->KeepOnly({});
  EXPECT_THAT(Fetch(Path("b")), IsOk());
}

// A job that is cancelled in its fetch leaves its chunks behind.
TEST_F(FileCacheTest, InterruptedFetchesCountInTheQuotaAlsoAfterARestart) {
  const int64_t chunk = kChunkSizeBytes;
  quota_bytes_ = 6 * chunk + chunk / 2;
  Open();
  EXPECT_FALSE(Fetch(WriteFile("a", Distinct(4)), 3).ok());
  EXPECT_FALSE(Fetch(WriteFile("b", Distinct(3)), 1).ok());
  // The file system needs a few blocks for its own tables.
  const auto about = [](int64_t bytes) {
    return testing::AllOf(testing::Ge(bytes), testing::Le(bytes + kChunkSizeBytes / 8));
  };
  EXPECT_THAT(cache_->used_bytes(), about(4 * chunk));
  Open();
  EXPECT_THAT(cache_->used_bytes(), about(4 * chunk));
  ASSERT_THAT(Fetch(WriteFile("c", Bytes(2 * chunk, 'z'))), IsOk());
  EXPECT_THAT(cache_->used_bytes(), about(6 * chunk)) << "there was room for all";
  ASSERT_THAT(Fetch(WriteFile("d", Bytes(4 * chunk, 'y'))), IsOk());
  EXPECT_EQ(cache_->used_bytes(), 6 * chunk) << "both interrupted fetches went";
  EXPECT_EQ(BytesOnDisk(), 6 * chunk);
}

TEST_F(FileCacheTest, AnInterruptedFetchThatAJobNeedsOutlastsArtifactsThatNoneNeeds) {
  const int64_t chunk = kChunkSizeBytes;
  quota_bytes_ = 6 * chunk + chunk / 2;
  Open();
  ASSERT_THAT(Fetch(WriteFile("old", Bytes(2 * chunk, 'z'))), IsOk());
  const ArtifactId old = Id();
  const std::string wanted = WriteFile("wanted", Distinct(4));
  EXPECT_FALSE(Fetch(wanted, 3).ok());
  cache_->KeepOnly({Id()});
  ASSERT_THAT(Fetch(WriteFile("other", Bytes(2 * chunk, 'y'))), IsOk());
  EXPECT_FALSE(cache_->HasArtifact(old));
  ASSERT_THAT(Fetch(wanted), IsOk());
  EXPECT_EQ(travelled_, 1);
}

TEST_F(FileCacheTest, CheckpointsNeverRefuseAnArtifactThatAJobNeeds) {
  quota_bytes_ = 1500;
  others_bytes_ = 9000;
  Open();
  ASSERT_THAT(Fetch(WriteFile("a", Bytes(1000, 'a'))), IsOk());
  const ArtifactId a = Id();
  ASSERT_THAT(Fetch(WriteFile("b", Bytes(1000, 'b'))), IsOk());
  EXPECT_FALSE(cache_->HasArtifact(a));
  EXPECT_TRUE(cache_->HasArtifact(Id()));
}

TEST_F(FileCacheTest, UnneededArtifactsGiveWayToACheckpointAndTheRestThatIsLackingIsTold) {
  quota_bytes_ = 3500;
  Open();
  ASSERT_THAT(Fetch(WriteFile("a", Bytes(1000, 'a'))), IsOk());
  const ArtifactId a = Id();
  ASSERT_THAT(Fetch(WriteFile("b", Bytes(1000, 'b'))), IsOk());
  const ArtifactId b = Id();
  cache_->KeepOnly({b});
  EXPECT_EQ(*cache_->GiveWay(1500), 0);
  EXPECT_TRUE(cache_->HasArtifact(a));
  EXPECT_EQ(*cache_->GiveWay(2000), 0);
  EXPECT_FALSE(cache_->HasArtifact(a));
  EXPECT_EQ(*cache_->GiveWay(2700), 200);
  EXPECT_TRUE(cache_->HasArtifact(b));
}

// Trial: a model of 1.1 GB passed the check of a disk with 2 GB free, then its second copy filled
// it.
TEST_F(FileCacheTest, OneCopyAndTheReserveMustFit) {
  free_bytes_ = 1999;
  EXPECT_THAT(Fetch(WriteFile("a", Bytes(1000, 'a'))),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("disk full")));
  free_bytes_ = 2000;
  EXPECT_THAT(Fetch(Path("a")), IsOk());
}

TEST_F(FileCacheTest, TheCacheOfAnOlderWorkerGivesItsSpaceBack) {
  WriteFile("cache/chunks/ab/abcd", "old");
  WriteFile("cache/views/abcd/file", "old");
  Open();
  EXPECT_FALSE(std::filesystem::exists(Path("cache/chunks")));
  EXPECT_FALSE(std::filesystem::exists(Path("cache/views")));
  EXPECT_THAT(cache_->ListArtifacts(), IsEmpty());
}

}  // namespace
}  // namespace wattle::artifacts
