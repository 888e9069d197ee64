// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/spool.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/agent/storage/memory_disk.h"
#include "worker/agent/storage/posix_disk.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Report Ledger(double joules) {
  v1::Report report;
  report.mutable_ledger()->set_idle_energy_joules(joules);
  return report;
}

class SpoolTest : public testing::Test {
 protected:
  void Open() { spool_ = *Spool::Open(&disk_); }
  // Reports of 1, 2, … joules.
  void Fill(int count) {
    Open();
    for (int joules = 1; joules <= count; ++joules) {
      ASSERT_THAT(spool_->Append(Ledger(joules)), IsOk());
    }
  }
  [[nodiscard]] std::vector<double> PendingJoules() const {
    std::vector<double> joules;
    for (const v1::Report& report : spool_->pending()) {
      joules.push_back(report.ledger().idle_energy_joules());
    }
    return joules;
  }
  [[nodiscard]] std::vector<int64_t> PendingNumbers() const {
    std::vector<int64_t> numbers;
    for (const v1::Report& report : spool_->pending()) {
      numbers.push_back(report.sequence());
    }
    return numbers;
  }
  [[nodiscard]] size_t FileSize() const { return disk_.files().at("spool").size(); }

  MemoryDisk disk_{/*seed=*/1};
  std::unique_ptr<Spool> spool_;
};

TEST_F(SpoolTest, NumbersGoOnOverRestartsAndAcknowledgements) {
  Fill(2);
  const int64_t incarnation = spool_->incarnation();
  ASSERT_THAT(spool_->Acknowledge(1), IsOk());
  EXPECT_THAT(PendingNumbers(), ElementsAre(2));
  Open();
  EXPECT_EQ(spool_->incarnation(), incarnation);
  EXPECT_EQ(spool_->repair(), "");
  EXPECT_EQ(spool_->pending().back().ledger().idle_energy_joules(), 2);
  EXPECT_EQ(*spool_->Append(Ledger(3)), 3);
  EXPECT_EQ(spool_->last_sequence(), 3);
}

TEST_F(SpoolTest, AcknowledgedReportsLeaveTheFileOnceTheyAreMany) {
  Open();
  v1::Report large;
  large.mutable_failed()->set_message(std::string(100'000, 'x'));
  for (int i = 1; i <= 4; ++i) {
    ASSERT_EQ(*spool_->Append(large), i);
  }
  ASSERT_THAT(spool_->Acknowledge(1), IsOk());
  EXPECT_GT(FileSize(), 400'000U);  // most of the file is still needed
  ASSERT_THAT(spool_->Acknowledge(4), IsOk());
  EXPECT_LT(FileSize(), 1000U);
  Open();
  EXPECT_TRUE(spool_->pending().empty());
  EXPECT_EQ(*spool_->Append(Ledger(1)), 5);
}

// Only a faulty card loses synced bytes. The coordinator may already have the lost numbers.
TEST_F(SpoolTest, ATornTailKeepsWhatStandsBeforeItUnderANewIncarnation) {
  Fill(1);
  const size_t first_end = FileSize();
  ASSERT_THAT(spool_->Append(Ledger(2)), IsOk());
  const int64_t incarnation = spool_->incarnation();
  const std::string whole = disk_.files().at("spool");
  for (size_t size = first_end + 1; size < whole.size(); ++size) {
    ASSERT_THAT(disk_.Replace("spool", whole.substr(0, size)), IsOk());
    Open();
    ASSERT_THAT(PendingJoules(), ElementsAre(1)) << "cut at " << size;
    ASSERT_NE(spool_->incarnation(), incarnation) << "cut at " << size;
    ASSERT_THAT(spool_->repair(), HasSubstr("numbers begin anew")) << "cut at " << size;
    ASSERT_EQ(*spool_->Append(Ledger(3)), 2) << "cut at " << size;
  }
}

TEST_F(SpoolTest, EveryFlippedBitLosesItsRecordAloneAndIsNoted) {
  Fill(1);
  const size_t begin = FileSize();
  ASSERT_THAT(spool_->Append(Ledger(2)), IsOk());
  const size_t end = FileSize();
  ASSERT_THAT(spool_->Append(Ledger(3)), IsOk());
  const int64_t incarnation = spool_->incarnation();
  const std::string whole = disk_.files().at("spool");
  for (size_t bit = 8 * begin; bit < 8 * end; ++bit) {
    ASSERT_THAT(disk_.Replace("spool", whole), IsOk());
    disk_.FlipBit("spool", bit);
    Open();
    ASSERT_THAT(PendingJoules(), ElementsAre(1, 3)) << "bit " << bit;
    ASSERT_THAT(PendingNumbers(), ElementsAre(1, 2)) << "bit " << bit;
    ASSERT_NE(spool_->incarnation(), incarnation) << "bit " << bit;
    ASSERT_NE(spool_->repair(), "") << "bit " << bit;
  }
}

TEST_F(SpoolTest, ADamagedHeaderCostsNoReport) {
  Fill(2);
  const int64_t incarnation = spool_->incarnation();
  const std::string whole = disk_.files().at("spool");
  for (size_t bit = 0; bit < 8 * 36; ++bit) {
    ASSERT_THAT(disk_.Replace("spool", whole), IsOk());
    disk_.FlipBit("spool", bit);
    Open();
    ASSERT_THAT(PendingJoules(), ElementsAre(1, 2)) << "bit " << bit;
    ASSERT_NE(spool_->incarnation(), incarnation) << "bit " << bit;
  }
}

// The disk may be able to read the reports the next time.
TEST_F(SpoolTest, AFileThatTheDiskRefusesToReadStaysAndIsNotReplaced) {
  Fill(2);
  const int64_t incarnation = spool_->incarnation();
  disk_.SetUnreadable("spool", true);
  EXPECT_THAT(Spool::Open(&disk_), StatusIs(absl::StatusCode::kInternal, HasSubstr("spool")));
  EXPECT_EQ(disk_.files().count("spool.damaged"), 0U);
  disk_.SetUnreadable("spool", false);
  Open();
  EXPECT_EQ(spool_->incarnation(), incarnation);
  EXPECT_THAT(PendingJoules(), ElementsAre(1, 2));
}

TEST_F(SpoolTest, AFileOfAnotherKindIsSetAside) {
  ASSERT_THAT(disk_.Replace("spool", "something else"), IsOk());
  Open();
  EXPECT_GT(spool_->incarnation(), 0);
  EXPECT_EQ(disk_.files().at("spool.damaged"), "something else");
}

TEST_F(SpoolTest, AFullDiskAddsNothing) {
  Fill(1);
  disk_.set_full(true);
  EXPECT_THAT(spool_->Append(Ledger(2)),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
  EXPECT_THAT(PendingJoules(), ElementsAre(1));
  disk_.set_full(false);
  EXPECT_EQ(*spool_->Append(Ledger(2)), 2);
}

TEST_F(SpoolTest, ANewIncarnationNumbersPendingReportsFromOne) {
  Fill(3);
  const int64_t incarnation = spool_->incarnation();
  ASSERT_THAT(spool_->Acknowledge(1), IsOk());
  ASSERT_THAT(spool_->BeginIncarnation(), IsOk());
  EXPECT_NE(spool_->incarnation(), incarnation);
  EXPECT_THAT(PendingNumbers(), ElementsAre(1, 2));
  EXPECT_THAT(PendingJoules(), ElementsAre(2, 3));
  const int64_t second = spool_->incarnation();
  Open();
  EXPECT_EQ(spool_->incarnation(), second);
  EXPECT_EQ(*spool_->Append(Ledger(4)), 3);
}

// The file of a worker before version 2: a header without checksum, and CRC-32 (IEEE 802.3) of the
// record.
TEST_F(SpoolTest, ReadsTheFileOfAnOlderWorker) {
  std::string file = "wattle-spool-01\n";
  file += std::string("\x07\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0", 16);  // incarnation 7, dropped 4
  v1::Report report = Ledger(1);
  report.set_sequence(5);
  const std::string payload = report.SerializeAsString();
  uint32_t crc = 0xffffffffU;
  for (const char c : payload) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
    }
  }
  crc = ~crc;
  file += std::string({static_cast<char>(payload.size()), 0, 0, 0});
  for (int i = 0; i < 4; ++i) {
    file.push_back(static_cast<char>(crc >> (8 * i)));
  }
  ASSERT_THAT(disk_.Replace("spool", file + payload), IsOk());
  Open();
  EXPECT_EQ(spool_->repair(), "");
  EXPECT_EQ(spool_->incarnation(), 7);
  EXPECT_THAT(PendingJoules(), ElementsAre(1));
  EXPECT_EQ(*spool_->Append(Ledger(2)), 6);
}

// A child appends and reports each number only after Append returned. The child is killed at a
// seeded moment. Every reported number must be in the file.
TEST(PosixSpoolTest, EveryAppendedReportSurvivesAKillAtAnyMoment) {
  constexpr uint64_t kSeed = 7;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 10; ++round) {
    const TestDirectory directory;
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto disk = *PosixDisk::Open(directory.path());
      auto spool = *Spool::Open(disk.get());
      while (true) {
        const int64_t number = *spool->Append(Ledger(1));
        (void)!write(ends[1], &number, sizeof(number));
      }
    }
    close(ends[1]);
    const int64_t kill_after = 1 + static_cast<int64_t>(random() % 50);
    int64_t said = 0;
    while (said < kill_after &&
           read(ends[0], &said, sizeof(said)) == static_cast<ssize_t>(sizeof(said))) {
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (read(ends[0], &said, sizeof(said)) == static_cast<ssize_t>(sizeof(said))) {
    }
    close(ends[0]);
    auto disk = *PosixDisk::Open(directory.path());
    EXPECT_GE(static_cast<int64_t>((*Spool::Open(disk.get()))->pending().size()), said);
  }
}

}  // namespace
}  // namespace wattle::agent
