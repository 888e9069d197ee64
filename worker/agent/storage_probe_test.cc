// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage_probe.h"

#include <filesystem>
#include <optional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::agent {
namespace {

TEST(StorageProbeTest, WritesOneBlockInPlaceAndTellsWhatRefusesIt) {
  const TestDirectory directory;
  EXPECT_THAT(WriteHealthFile(directory.File("")), IsOk());
  EXPECT_THAT(WriteHealthFile(directory.File("")), IsOk());
  EXPECT_EQ(std::filesystem::file_size(directory.File("health")), 4096U);
  EXPECT_THAT(WriteHealthFile(directory.File("none")),
              StatusIs(absl::StatusCode::kNotFound, testing::HasSubstr("none/health")));
  // A device that is always full.
  std::filesystem::remove(directory.File("health"));
  std::filesystem::create_symlink("/dev/full", directory.File("health"));
  EXPECT_THAT(WriteHealthFile(directory.File("")),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
}

TEST(StorageProbeTest, ADiskWithoutRoomForARecordIsFull) {
  const auto check = [](uint64_t free_blocks, uint64_t files, uint64_t free_files) {
    struct statvfs disk = {};
    disk.f_frsize = 4096;
    disk.f_bavail = free_blocks;
    disk.f_files = files;
    disk.f_favail = free_files;
    return CheckRoom("/state/health", disk);
  };
  EXPECT_THAT(check(256, 1000, 1), IsOk());
  EXPECT_THAT(check(256, 0, 0), IsOk()) << "a file system without a table of files";
  EXPECT_THAT(check(255, 1000, 1),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::HasSubstr("/state/health")));
  EXPECT_THAT(check(256, 1000, 0), StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
}

TEST(StorageProbeTest, EachBeginIsAnsweredOnAnotherThread) {
  const TestDirectory directory;
  absl::Mutex mutex;
  std::optional<absl::Status> told;
  StorageProbe probe(directory.File(""), [&](const absl::Status& status) {
    absl::MutexLock lock(&mutex);
    told = status;
  });
  for (int i = 0; i < 2; ++i) {
    probe.Begin();
    absl::MutexLock lock(&mutex);
    auto answered = [&] { return told.has_value(); };
    mutex.Await(absl::Condition(&answered));
    EXPECT_THAT(*told, IsOk());
    told.reset();
  }
}

}  // namespace
}  // namespace wattle::agent
