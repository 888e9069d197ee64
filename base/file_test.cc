// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <cerrno>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle {
namespace {

using testing::HasSubstr;

TEST(ReadWholeFileTest, LimitIsInclusive) {
  const TestDirectory directory;
  const std::string path = directory.Write("a", "12345");
  const auto content = ReadWholeFile(path, 5);
  ASSERT_THAT(content, IsOk());
  EXPECT_EQ(*content, "12345");
  EXPECT_THAT(ReadWholeFile(path, 4),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("at most 4")));
  EXPECT_THAT(ReadWholeFile(directory.path(), 4),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a regular file")));
  EXPECT_THAT(ReadWholeFile(directory.File("b"), 4),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("check the path")));
}

TEST(ReadWholeFileTest, ReadsWhatHasNoSizeBefore) {
  const auto status = ReadWholeFile("/proc/self/status");
  ASSERT_THAT(status, IsOk());
  EXPECT_THAT(*status, HasSubstr("VmRSS"));
  EXPECT_THAT(ReadWholeFile("/proc/self/status", 5),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("at most 5")));
}

TEST(ReadKibibyteLineTest, ReadsTheLineOfTheWholeName) {
  TestDirectory directory;
  const std::string path =
      directory.Write("meminfo", "MemTotalX: 1 kB\nMemTotal:  16 kB\nHuge: 2\nBad: x kB\n");
  EXPECT_EQ(ReadKibibyteLine(path, "MemTotal").value_or(0), 16 * 1024);
  for (const char* name : {"Mem", "Huge", "Bad", "MemFree"}) {
    EXPECT_THAT(ReadKibibyteLine(path, name),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr(name)));
  }
  EXPECT_THAT(ReadKibibyteLine(directory.File("none"), "MemTotal"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_GT(ReadKibibyteLine("/proc/self/status", "VmHWM").value_or(0), 4096);
}

TEST(FileErrorTest, NamesThePathTheReasonAndTheRemedy) {
  EXPECT_THAT(FileError(ENOSPC, "/data/x", "cannot write"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("/data/x: cannot write: No space left on device; free space")));
  EXPECT_THAT(FileError(EROFS, "/data/x", "cannot write"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("mount it for writing")));
  EXPECT_THAT(FileError(EACCES, "/data/x", "cannot write"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("permissions")));
  EXPECT_THAT(FileError(EEXIST, "/data/x", "cannot create"),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("another path")));
}

TEST(DirectoryTest, IsMadeWithItsParentsAndOneThatIsThereIsFine) {
  const TestDirectory directory;
  EXPECT_THAT(MakeDirectories(directory.File("a/b")), IsOk());
  EXPECT_THAT(MakeDirectories(directory.File("a/b")), IsOk());
  EXPECT_THAT(MakeDirectory(directory.File("a/b")), IsOk());
  EXPECT_THAT(MakeDirectory(directory.File("no/such")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/such")));
  EXPECT_THAT(SyncDirectory(directory.File("a/b")), IsOk());
  EXPECT_THAT(SyncDirectory(directory.File("c")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("check the path")));
  directory.Write("file", "x");
  EXPECT_FALSE(MakeDirectories(directory.File("file/d")).ok());
  EXPECT_THAT(RenameFile(directory.File("file"), directory.File("a/file")), IsOk());
  EXPECT_EQ(directory.Read("a/file"), "x");
}

}  // namespace
}  // namespace wattle
