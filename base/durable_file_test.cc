// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/durable_file.h"

#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(DurableFileTest, ContentIsThereAfterCommitAndNothingBefore) {
  const TestDirectory directory;
  const std::string path = directory.File("a");
  {
    auto file = DurableFile::Create(path);
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(file->Append(absl::string_view("hello ")), IsOk());
    ASSERT_THAT(file->Append(absl::string_view("world")), IsOk());
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_THAT(file->Commit(), IsOk());
  }
  EXPECT_EQ(directory.Read("a"), "hello world");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(DurableFileTest, WithoutCommitTheOldContentStaysAndNothingIsLeft) {
  const TestDirectory directory;
  const std::string path = directory.Write("a", "old");
  {
    auto file = DurableFile::Create(path);
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(file->Append(absl::string_view("new")), IsOk());
    const DurableFile moved = std::move(*file);
  }
  EXPECT_EQ(directory.Read("a"), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(DurableFileTest, ObserverSeesEveryOperationBeforeAndAfter) {
  const TestDirectory directory;
  std::vector<std::string> seen;
  const auto observer = [&](FileOperation operation, FileOperationMoment moment,
                            const std::string&) {
    seen.push_back(absl::StrCat(moment == FileOperationMoment::kBefore ? "before " : "after ",
                                FileOperationName(operation)));
  };
  ASSERT_THAT(WriteFileDurably(directory.File("a"), "x", observer), IsOk());
  EXPECT_THAT(
      seen, ElementsAre("before write", "after write", "before sync", "after sync", "before rename",
                        "after rename", "before sync_directory", "after sync_directory"));
}

// A kill at any moment leaves no key that others may read, and none that its owner refuses later.
TEST(DurableFileTest, APrivateFileIsPrivateFromItsFirstByteOn) {
  const TestDirectory directory;
  const std::string path = directory.File("key");
  const std::string left_behind = directory.Write("key.partial", "");
  ASSERT_EQ(chmod(left_behind.c_str(), 0666), 0);
  std::set<mode_t> modes;
  const auto observer = [&](FileOperation, FileOperationMoment, const std::string&) {
    for (const std::string& name : {path, left_behind}) {
      struct stat facts = {};
      if (stat(name.c_str(), &facts) == 0) {
        modes.insert(facts.st_mode & 0777);
      }
    }
  };
  ASSERT_THAT(WriteFileDurably(path, "secret", observer, 0600), IsOk());
  EXPECT_THAT(modes, ElementsAre(0600));
}

TEST(DurableFileTest, ClosedFileRefusesMore) {
  const TestDirectory directory;
  auto file = DurableFile::Create(directory.File("a"));
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(file->Commit(), IsOk());
  EXPECT_THAT(file->Append(absl::string_view("x")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("already closed")));
  EXPECT_THAT(file->Commit(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("already closed")));
}

TEST(DurableFileTest, MissingDirectoryAndFullDiskAreNamed) {
  EXPECT_THAT(DurableFile::Create("/no/such/directory/a"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("/no/such/directory/a: cannot create the file")));
  if (!std::filesystem::exists("/dev/full")) {
    GTEST_SKIP() << "no /dev/full here";
  }
  const TestDirectory directory;
  std::filesystem::create_symlink("/dev/full", directory.File("a.partial"));
  auto file = DurableFile::Create(directory.File("a"));
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->Append(absl::string_view("x")),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("free space")));
}

}  // namespace
}  // namespace wattle
