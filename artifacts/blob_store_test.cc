// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/blob_store.h"

#include <chrono>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/testing/store_fixture.h"
#include "base/testing/status_matchers.h"

namespace wattle::artifacts {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class BlobStoreTest : public StoreFixture {
 protected:
  [[nodiscard]] std::string ChunkPath(const std::string& bytes) const {
    const std::string hex = Sha256Hex(bytes);
    return Path(absl::StrCat("store/chunks/", hex.substr(0, 2), "/", hex));
  }
  // Puts a chunk now, also by the time stamp that its file shows after a restart.
  void PutChunkNow(BlobStore& store, const std::string& bytes) {
    ASSERT_THAT(store.PutChunk(Sha256(bytes), bytes), IsOk());
    std::filesystem::last_write_time(
        ChunkPath(bytes), std::chrono::file_clock::from_sys(absl::ToChronoTime(clock_.Now())));
  }
};

TEST_F(BlobStoreTest, AChunkIsVerifiedOnArrival) {
  const auto store = OpenStore();
  EXPECT_THAT(store->PutChunk(Sha256("right"), "wrong"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("send it again")));
  EXPECT_FALSE(store->HasChunk(Sha256("right")));
  ASSERT_THAT(store->PutChunk(Sha256("right"), "right"), IsOk());
  EXPECT_EQ(*store->ReadChunk(Sha256("right")), "right");
  EXPECT_EQ(store->used_bytes(), 5);
  ASSERT_THAT(store->PutChunk(Sha256("right"), "right"), IsOk());
  EXPECT_EQ(store->used_bytes(), 5);
}

TEST_F(BlobStoreTest, AChunkOverOneMebibyteIsRefused) {
  const std::string bytes = Bytes(kChunkSizeBytes + 1, 'x');
  EXPECT_THAT(OpenStore()->PutChunk(Sha256(bytes), bytes),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1048576")));
}

TEST_F(BlobStoreTest, ATruncatedUploadNeverBecomesAnArtifact) {
  const std::string path = WriteFile("w", Bytes(3 * kChunkSizeBytes, 'w'));
  const v1::Manifest manifest = *BuildManifest(path);
  auto store = OpenStore();
  PutChunksOf(*store, manifest, path, 2);
  EXPECT_THAT(store->CommitManifest(manifest),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("1 of 3 chunks")));
  EXPECT_FALSE(store->HasArtifact(IdOf(manifest)));
  store = OpenStore();  // Reopens like after a crash.
  EXPECT_THAT(store->ListArtifacts(), IsEmpty());
  EXPECT_THAT(store->MissingChunks(manifest), SizeIs(1)) << "the upload resumes";
}

TEST_F(BlobStoreTest, ACommittedArtifactSurvivesReopening) {
  const std::string path = WriteFile("w", Bytes(kChunkSizeBytes + 1, 'w'));
  const ArtifactId id = Add(*OpenStore(), path);
  const auto store = OpenStore();
  EXPECT_TRUE(store->HasArtifact(id));
  EXPECT_EQ(IdOf(*store->ReadManifest(id)), id);
  EXPECT_EQ(store->used_bytes(), kChunkSizeBytes + 1);
}

TEST_F(BlobStoreTest, AManifestThatTheDiskChangedIsNoArtifact) {
  const ArtifactId id = Add(*OpenStore(), WriteFile("w", "bytes"));
  const std::string manifest = Path("store/manifests/" + id.value());
  std::filesystem::permissions(manifest, std::filesystem::perms::owner_all);
  WriteFile("store/manifests/" + id.value(), "wattle-manifest 1\nfile 0 1 a\n");
  EXPECT_FALSE(OpenStore()->HasArtifact(id));
}

TEST_F(BlobStoreTest, AChunkThatTheDiskChangedIsRemovedWithItsArtifact) {
  const auto store = OpenStore();
  const std::string path = WriteFile("w", "bytes");
  const ArtifactId id = Add(*store, path);
  std::filesystem::permissions(ChunkPath("bytes"), std::filesystem::perms::owner_all);
  std::ofstream(ChunkPath("bytes")) << "bytez";
  EXPECT_THAT(store->ReadChunk(Sha256("bytes")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("changed on disk")));
  EXPECT_FALSE(store->HasArtifact(id));
  EXPECT_EQ(store->used_bytes(), 0);
  EXPECT_EQ(Add(*store, path), id) << "pushing again repairs it";
  EXPECT_EQ(*store->ReadChunk(Sha256("bytes")), "bytes");
}

TEST_F(BlobStoreTest, EvictionTakesTheOldestAndKeepsPinnedLiveAndYoung) {
  const auto store = OpenStore();
  std::vector<ArtifactId> ids;
  for (const char name : {'a', 'b', 'c', 'd', 'e'}) {
    ids.push_back(Add(*store, WriteFile(std::string(1, name), Bytes(1000, name))));
    clock_.now += absl::Hours(1);
  }
  ASSERT_THAT(store->Pin(ids[0]), IsOk());
  store->Touch(ids[4]);
  EXPECT_EQ(*store->Evict(3500, {ids[1]}), 2000) << "c and d, the oldest that may go";
  EXPECT_TRUE(store->HasArtifact(ids[0]));
  EXPECT_TRUE(store->HasArtifact(ids[1]));
  EXPECT_FALSE(store->HasArtifact(ids[2]));
  EXPECT_FALSE(store->HasArtifact(ids[3]));
  EXPECT_EQ(*store->Evict(0, {ids[1]}), 0) << "a is pinned, b is live, e is young";
  ASSERT_THAT(store->Unpin(ids[0]), IsOk());
  EXPECT_EQ(*store->Evict(0, {}), 2000);
  EXPECT_TRUE(store->HasArtifact(ids[4]));
}

TEST_F(BlobStoreTest, PinsAndLastUseSurviveReopening) {
  ArtifactId pinned, used;
  {
    const auto store = OpenStore();
    pinned = Add(*store, WriteFile("a", "aaaa"));
    used = Add(*store, WriteFile("b", "bbbb"));
    ASSERT_THAT(store->Pin(pinned), IsOk());
    clock_.now += absl::Hours(1);
    store->Touch(used);
  }
  const auto store = OpenStore();
  for (const StoredArtifact& artifact : store->ListArtifacts()) {
    EXPECT_EQ(artifact.pinned, artifact.id == pinned);
    EXPECT_EQ(artifact.last_used == clock_.now, artifact.id == used);
  }
}

TEST_F(BlobStoreTest, EvictionKeepsChunksThatAnotherArtifactShares) {
  WriteFile("one/shared", "shared");
  WriteFile("one/own", "own");
  WriteFile("two/shared", "shared");
  const auto store = OpenStore();
  const ArtifactId one = Add(*store, Path("one"));
  const ArtifactId two = Add(*store, Path("two"));
  EXPECT_EQ(store->used_bytes(), 9);
  ASSERT_THAT(store->Remove(one), IsOk());
  EXPECT_EQ(store->used_bytes(), 6);
  EXPECT_EQ(*store->ReadChunk(Sha256("shared")), "shared");
}

TEST_F(BlobStoreTest, AnUploadUnderWayIsSparedUntilItIsStale) {
  const auto store = OpenStore();
  ASSERT_THAT(store->PutChunk(Sha256("x"), "x"), IsOk());
  EXPECT_EQ(*store->Evict(0, {}), 0);
  clock_.now += absl::Minutes(11);
  EXPECT_EQ(*store->Evict(0, {}), 1);
}

// A board whose link is up for ten minutes a day, and a store that is always full.
TEST_F(BlobStoreTest, AnUploadThatGoesOnDailyOutlastsArtifactsThatNothingUses) {
  BlobStoreOptions options;
  options.quota_bytes = 2500;
  auto store = OpenStore(options);
  const ArtifactId old = Add(*store, WriteFile("old", Bytes(1000, 'a')));
  for (int day = 0; day < 6; ++day) {
    PutChunkNow(*store, Bytes(100, static_cast<char>('0' + day)));
    clock_.now += absl::Hours(24);
    store = OpenStore(options);
  }
  ASSERT_THAT(store->CheckRoom(1500, {}), IsOk());
  EXPECT_FALSE(store->HasArtifact(old));
  EXPECT_EQ(store->used_bytes(), 600);
  EXPECT_THAT(store->CheckRoom(2000, {}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("quota")));
  EXPECT_THAT(store->CheckRoomOfUploads(2000), IsOk());
  EXPECT_EQ(store->used_bytes(), 500) << "the chunk of the first day went";
}

TEST_F(BlobStoreTest, AnUploadThatNobodyWentOnWithForAWeekGoesBeforeAnyArtifact) {
  BlobStoreOptions options;
  options.quota_bytes = 2500;
  auto store = OpenStore(options);
  PutChunkNow(*store, "left behind");
  clock_.now += absl::Hours(24 * 7) + absl::Minutes(1);
  store = OpenStore(options);
  const ArtifactId old = Add(*store, WriteFile("old", Bytes(1000, 'a')));
  clock_.now += absl::Hours(1);
  ASSERT_THAT(store->CheckRoom(1500, {}), IsOk());
  EXPECT_TRUE(store->HasArtifact(old));
  EXPECT_EQ(store->used_bytes(), 1000);
}

TEST_F(BlobStoreTest, AStepOfTheWallClockEndsNoUploadAndKeepsNothingForEver) {
  for (const absl::Duration step : {absl::Hours(240), -absl::Hours(240)}) {
    const auto store = OpenStore();
    ASSERT_THAT(store->PutChunk(Sha256("x"), "x"), IsOk());
    const ArtifactId id = Add(*store, WriteFile("file", "bytes"));
    clock_.wall_step += step;
    EXPECT_EQ(*store->Evict(0, {}), 0) << "both are young";
    clock_.now += absl::Minutes(11);
    EXPECT_EQ(*store->Evict(0, {}), 6) << "neither is young any more";
    EXPECT_FALSE(store->HasArtifact(id));
  }
}

TEST_F(BlobStoreTest, WhatIsStampedInTheFutureIsYoungOnlyForAWhile) {
  {
    const auto store = OpenStore();
    Add(*store, WriteFile("file", "bytes"));
  }
  clock_.wall_step = -absl::Hours(24 * 365 * 20);
  const auto store = OpenStore();
  EXPECT_EQ(*store->Evict(0, {}), 0);
  clock_.now += absl::Minutes(11);
  EXPECT_EQ(*store->Evict(0, {}), 5);
}

TEST_F(BlobStoreTest, AFullDiskIsSaidBeforeTheUpload) {
  BlobStoreOptions options;
  options.free_space = [](const std::string&) -> absl::StatusOr<int64_t> { return 5000; };
  const auto store = OpenStore(options);
  EXPECT_THAT(store->CheckRoom(4000, {}), IsOk());
  EXPECT_THAT(store->CheckRoom(4001, {}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("disk full")));
}

TEST_F(BlobStoreTest, TheQuotaMakesRoomOrRefuses) {
  BlobStoreOptions options;
  options.quota_bytes = 2500;
  const auto store = OpenStore(options);
  const ArtifactId old = Add(*store, WriteFile("a", Bytes(1000, 'a')));
  clock_.now += absl::Hours(1);
  Add(*store, WriteFile("b", Bytes(1000, 'b')));
  EXPECT_THAT(store->CheckRoom(1600, {}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("raise the quota")));
  EXPECT_FALSE(store->HasArtifact(old));
  EXPECT_THAT(store->CheckRoom(1500, {}), IsOk());
}

TEST_F(BlobStoreTest, WhatCouldBeFreedIsToldBeforeAnythingGoes) {
  BlobStoreOptions options;
  options.quota_bytes = 2500;
  const auto store = OpenStore(options);
  const ArtifactId one = Add(*store, WriteFile("a", Bytes(1000, 'a')));
  PutChunkNow(*store, Bytes(500, 'u'));  // A chunk of an upload.
  EXPECT_THAT(store->Fits(1000), IsOk());
  EXPECT_THAT(store->Fits(1001),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("raise the quota")));
  EXPECT_THAT(store->CouldFit(1001, {one}), Not(IsOk())) << "all is young";
  clock_.now += absl::Minutes(11);
  EXPECT_THAT(store->CouldFit(1500, {}), IsOk());
  EXPECT_THAT(store->CouldFit(1501, {}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1000 B of the quota")));
  EXPECT_THAT(store->CouldFit(2500, {one}), IsOk());
  EXPECT_THAT(store->CouldFit(2501, {one}), Not(IsOk()));
  EXPECT_EQ(store->used_bytes(), 1500) << "nothing went";
  // The shared chunk stays because another upload's MissingChunks covered it.
  EXPECT_THAT(store->MissingChunks(*store->ReadManifest(one)), IsEmpty());
  EXPECT_THAT(store->CouldFit(1501, {one}), Not(IsOk()));
  EXPECT_THAT(store->RemoveForRoom(one), IsOk());
  EXPECT_FALSE(store->HasArtifact(one));
  EXPECT_EQ(store->used_bytes(), 1500);
  EXPECT_THAT(store->RemoveForRoom(one), IsOk());
}

TEST_F(BlobStoreTest, AMissingParentAndAFileInTheWayAreSaid) {
  BlobStoreOptions options;
  options.directory = Path("no/such/store");
  EXPECT_THAT(BlobStore::Open(options, clock_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/such/store")));
}

}  // namespace
}  // namespace wattle::artifacts
