// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the contract of both disks, and the faults of the one in memory.
#include "worker/agent/storage/memory_disk.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/agent/storage/posix_disk.h"

namespace wattle::agent {
namespace {

enum class Kind { kPosix, kMemory };

class DiskTest : public testing::TestWithParam<Kind> {
 protected:
  DiskTest() {
    if (GetParam() == Kind::kPosix) {
      disk_ = *PosixDisk::Open(directory_.path());
    } else {
      disk_ = std::make_unique<MemoryDisk>(/*seed=*/1);
    }
  }
  TestDirectory directory_;
  std::unique_ptr<Disk> disk_;
};

TEST_P(DiskTest, ReadsWhatWasReplacedAndAppended) {
  EXPECT_THAT(disk_->Read("a/file"), StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(disk_->Append("a/file", "x"), StatusIs(absl::StatusCode::kNotFound, testing::_));
  ASSERT_THAT(disk_->Replace("a/file", "one"), IsOk());
  ASSERT_THAT(disk_->Append("a/file", "two"), IsOk());
  EXPECT_EQ(*disk_->Read("a/file"), "onetwo");
  ASSERT_THAT(disk_->Replace("a/file", "three"), IsOk());
  EXPECT_EQ(*disk_->Read("a/file"), "three");
}

TEST_P(DiskTest, AKeptCopyOutlivesAReplace) {
  ASSERT_THAT(disk_->Replace("file", "old"), IsOk());
  ASSERT_THAT(disk_->KeepAs("file", "copy"), IsOk());
  ASSERT_THAT(disk_->Replace("file", "new"), IsOk());
  EXPECT_EQ(*disk_->Read("copy"), "old");
  ASSERT_THAT(disk_->KeepAs("file", "copy"), IsOk());
  EXPECT_EQ(*disk_->Read("copy"), "new");
}

TEST_P(DiskTest, ListsADirectoryByNameWithTheSizeOfAllBelow) {
  ASSERT_THAT(disk_->MakeDirectory("top/empty"), IsOk());
  ASSERT_THAT(disk_->Replace("top/full/deep/file", "12345"), IsOk());
  ASSERT_THAT(disk_->Replace("top/file", "123"), IsOk());
  const auto entries = disk_->List("top");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].name, "empty");
  EXPECT_TRUE(entries[0].is_directory);
  EXPECT_EQ(entries[0].size_bytes, 0);
  EXPECT_EQ(entries[1].name, "file");
  EXPECT_FALSE(entries[1].is_directory);
  EXPECT_EQ(entries[1].size_bytes, 3);
  EXPECT_EQ(entries[2].name, "full");
  EXPECT_EQ(entries[2].size_bytes, 5);
  EXPECT_TRUE(disk_->List("nowhere").empty());
}

TEST_P(DiskTest, RemovesADirectoryWithAllThatIsInIt) {
  ASSERT_THAT(disk_->Replace("top/a/file", "1"), IsOk());
  ASSERT_THAT(disk_->Replace("top/ab", "2"), IsOk());
  disk_->Remove("top/a");
  EXPECT_THAT(disk_->Read("top/a/file"), StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_EQ(*disk_->Read("top/ab"), "2");
}

INSTANTIATE_TEST_SUITE_P(Both, DiskTest, testing::Values(Kind::kPosix, Kind::kMemory),
                         [](const auto& tested) {
                           return tested.param == Kind::kPosix ? "Posix" : "Memory";
                         });

TEST(MemoryDiskTest, APowerCutTearsTheAppendThatItHitsAndStopsTheRest) {
  MemoryDisk disk(1);
  ASSERT_THAT(disk.Replace("file", "whole "), IsOk());
  disk.CutPowerAfter(1, /*torn_bytes=*/2);
  ASSERT_THAT(disk.Append("file", "first "), IsOk());
  EXPECT_THAT(disk.Append("file", "second"), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  EXPECT_THAT(disk.Append("file", "third"), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  EXPECT_TRUE(disk.power_is_cut());
  disk.RestorePower();
  EXPECT_EQ(*disk.Read("file"), "whole first se");
}

TEST(MemoryDiskTest, FullUnreadableForgetfulAndDamagedAsAsked) {
  MemoryDisk disk(1);
  ASSERT_THAT(disk.Replace("file", "abc"), IsOk());
  disk.set_full(true);
  EXPECT_THAT(disk.Replace("file", "x"),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
  disk.set_full(false);
  disk.SetUnreadable("file", true);
  EXPECT_THAT(disk.Read("file"), StatusIs(absl::StatusCode::kInternal, testing::_));
  disk.SetUnreadable("file", false);
  disk.LoseTail("file", 1);
  disk.FlipBit("file", 0);
  EXPECT_EQ(*disk.Read("file"), "`b");
}

TEST(MemoryDiskTest, TheSameSeedDrawsTheSameBits) {
  MemoryDisk one(5);
  MemoryDisk two(5);
  EXPECT_EQ(one.Random(), two.Random());
  EXPECT_NE(one.Random(), one.Random());
}

}  // namespace
}  // namespace wattle::agent
