// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/manifest.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/testing/store_fixture.h"
#include "base/testing/status_matchers.h"

namespace wattle::artifacts {
namespace {

using testing::HasSubstr;

class ManifestTest : public StoreFixture {};

v1::ManifestFile File(const std::string& path, int64_t size_bytes = 0) {
  v1::ManifestFile file;
  file.set_path(path);
  file.set_size_bytes(size_bytes);
  for (int64_t at = 0; at < size_bytes; at += kChunkSizeBytes) {
    file.add_chunk_sha256(Sha256(path).value());
  }
  return file;
}

v1::Manifest Of(std::initializer_list<v1::ManifestFile> files) {
  v1::Manifest manifest;
  for (const v1::ManifestFile& file : files) {
    *manifest.add_files() = file;
  }
  return manifest;
}

TEST_F(ManifestTest, IdIsTheHashOfTheDocumentedBytes) {
  const v1::Manifest manifest = Of({File("a b\xc3\xa4", 3), File("empty")});
  EXPECT_EQ(CanonicalForm(manifest), "wattle-manifest 1\nfile 3 5 a b\xc3\xa4\n" +
                                         Sha256Hex("a b\xc3\xa4") + "\nfile 0 5 empty\n");
  EXPECT_EQ(IdOf(manifest).value(), Sha256Hex(CanonicalForm(manifest)));
}

TEST_F(ManifestTest, CanonicalFormReadsBack) {
  const v1::Manifest manifest = Of({File("a", 2 * kChunkSizeBytes + 1), File("b/c", 1), File("d")});
  const auto parsed = ParseCanonicalForm(CanonicalForm(manifest));
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->SerializeAsString(), manifest.SerializeAsString());
}

TEST_F(ManifestTest, EveryTruncationOfTheCanonicalFormIsAnErrorOrAnotherManifest) {
  const v1::Manifest manifest = Of({File("a", 1), File("b", 2)});
  const std::string form = CanonicalForm(manifest);
  const size_t whole_first_file = CanonicalForm(Of({File("a", 1)})).size();
  for (size_t size = 0; size < form.size(); ++size) {
    const auto parsed = ParseCanonicalForm(absl::string_view(form).substr(0, size));
    if (size == whole_first_file) {
      EXPECT_NE(IdOf(*parsed), IdOf(manifest));
    } else {
      EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("manifest"))) << size;
    }
  }
}

TEST_F(ManifestTest, PathsThatLeaveTheDirectoryAreRefused) {
  for (const std::string path : {"", "/etc/passwd", "..", "../x", "a/../b", "a/..", "./a", "a/./b",
                                 "a//b", "a/", "a\\b", "a\nb"}) {
    EXPECT_THAT(ValidateManifest(Of({File(path)})),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("manifest path")))
        << path;
  }
  EXPECT_THAT(ValidatePath(std::string("a\0b", 3)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("control")));
  EXPECT_THAT(ValidatePath(std::string(1025, 'a')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1024")));
  EXPECT_THAT(ValidatePath("...a/..b/c.d"), IsOk());
}

TEST_F(ManifestTest, DuplicatesAndDisorderAreRefused) {
  EXPECT_THAT(ValidateManifest(Of({File("a"), File("a")})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("once")));
  EXPECT_THAT(ValidateManifest(Of({File("b"), File("a")})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sorted")));
  EXPECT_THAT(ValidateManifest(Of({File("a"), File("a!"), File("a/b")})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("both")));
  EXPECT_THAT(ValidateManifest({}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 files")));
}

TEST_F(ManifestTest, SizesThatDoNotFitTheChunksAreRefused) {
  v1::ManifestFile file = File("a", kChunkSizeBytes);
  file.set_size_bytes(kChunkSizeBytes + 1);
  EXPECT_THAT(ValidateManifest(Of({file})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 chunks")));
  file.set_size_bytes(-1);
  EXPECT_THAT(ValidateManifest(Of({file})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("-1 bytes")));
  file = File("a", 1);
  file.set_chunk_sha256(0, "short");
  EXPECT_THAT(ValidateManifest(Of({file})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("wanted 32")));
}

TEST_F(ManifestTest, ADirectoryIsListedRecursivelySortedWithoutHiddenFiles) {
  WriteFile("model/b/weights", Bytes(kChunkSizeBytes + 5, 'w'));
  WriteFile("model/a", "x");
  WriteFile("model/.git/config", "hidden");
  const auto manifest = BuildManifest(Path("model"));
  ASSERT_THAT(manifest, IsOk());
  ASSERT_EQ(manifest->files_size(), 2);
  EXPECT_EQ(manifest->files(0).path(), "a");
  EXPECT_EQ(manifest->files(1).path(), "b/weights");
  EXPECT_EQ(manifest->files(1).chunk_sha256_size(), 2);
  EXPECT_EQ(ChunkSizeBytes(manifest->files(1), 1), 5);
  EXPECT_EQ(SizeBytes(*manifest), kChunkSizeBytes + 6);
  EXPECT_EQ(SourcePath(Path("model"), manifest->files(1)), Path("model/b/weights"));
}

TEST_F(ManifestTest, AFileIsOneEntryOfItsBaseName) {
  const std::string path = WriteFile("data/train.json", "{}");
  const auto manifest = BuildManifest(path);
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(manifest->files(0).path(), "train.json");
  EXPECT_EQ(SourcePath(path, manifest->files(0)), path);
}

TEST_F(ManifestTest, NothingAndAnEmptyDirectoryAreRefused) {
  EXPECT_THAT(BuildManifest(Path("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  std::filesystem::create_directory(Path("empty"));
  EXPECT_THAT(BuildManifest(Path("empty")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no files")));
}

}  // namespace
}  // namespace wattle::artifacts
