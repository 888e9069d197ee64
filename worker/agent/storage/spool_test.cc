// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/spool.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/status_matchers.h"
#include "base/test_directory.h"
#include "worker/agent/storage/state_directory.h"

namespace wattle::agent {
namespace {

v1::Report Ledger(double joules) {
  v1::Report report;
  report.mutable_ledger()->set_idle_energy_joules(joules);
  return report;
}

TEST(SpoolTest, NumbersGoOnOverRestartsAndAcknowledgements) {
  const TestDirectory directory;
  const std::string path = directory.File("spool");
  int64_t incarnation = 0;
  {
    auto spool = *Spool::Open(path);
    incarnation = spool->incarnation();
    EXPECT_EQ(*spool->Append(Ledger(1)), 1);
    EXPECT_EQ(*spool->Append(Ledger(2)), 2);
    ASSERT_THAT(spool->Acknowledge(1), IsOk());
    ASSERT_EQ(spool->pending().size(), 1U);
  }
  auto spool = *Spool::Open(path);
  EXPECT_EQ(spool->incarnation(), incarnation);
  EXPECT_EQ(spool->pending().back().ledger().idle_energy_joules(), 2);
  EXPECT_EQ(*spool->Append(Ledger(3)), 3);
}

TEST(SpoolTest, AcknowledgedReportsLeaveTheFileOnceItIsLarge) {
  const TestDirectory directory;
  const std::string path = directory.File("spool");
  auto spool = *Spool::Open(path);
  v1::Report large;
  large.mutable_failed()->set_message(std::string(100'000, 'x'));
  for (int i = 1; i <= 4; ++i) {
    ASSERT_EQ(*spool->Append(large), i);
  }
  ASSERT_THAT(spool->Acknowledge(4), IsOk());
  EXPECT_LT(std::filesystem::file_size(path), 1000U);
  spool.reset();
  spool = *Spool::Open(path);
  EXPECT_TRUE(spool->pending().empty());
  EXPECT_EQ(*spool->Append(Ledger(1)), 5);
}

TEST(SpoolTest, EveryTornTailIsCutAndNothingBeforeItIsLost) {
  const TestDirectory directory;
  const std::string path = directory.File("spool");
  size_t first_end = 0;
  {
    auto spool = *Spool::Open(path);
    ASSERT_THAT(spool->Append(Ledger(1)), IsOk());
    first_end = std::filesystem::file_size(path);
    ASSERT_THAT(spool->Append(Ledger(2)), IsOk());
  }
  const std::string whole = *ReadWholeFile(path);
  for (size_t size = first_end; size < whole.size(); ++size) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    auto spool = *Spool::Open(path);
    ASSERT_EQ(spool->pending().size(), 1U) << "cut at " << size;
    ASSERT_EQ(*spool->Append(Ledger(3)), 2) << "cut at " << size;
  }
}

TEST(SpoolTest, AFlippedBitEndsTheLogThere) {
  const TestDirectory directory;
  const std::string path = directory.File("spool");
  {
    auto spool = *Spool::Open(path);
    ASSERT_THAT(spool->Append(Ledger(1)), IsOk());
    ASSERT_THAT(spool->Append(Ledger(2)), IsOk());
  }
  std::string content = *ReadWholeFile(path);
  content[content.size() - 1] = static_cast<char>(content.back() ^ 1);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  EXPECT_EQ((*Spool::Open(path))->pending().size(), 1U);
}

TEST(SpoolTest, AFileThatIsNoSpoolIsSetAsideAndANewIncarnationBegins) {
  const TestDirectory directory;
  const std::string path = directory.File("spool");
  std::ofstream(path) << "something else";
  auto spool = *Spool::Open(path);
  EXPECT_GT(spool->incarnation(), 0);
  EXPECT_EQ(*ReadWholeFile(path + ".damaged"), "something else");
}

// A child appends and says each number only after Append returned; it is killed at a seeded moment.
// What it said is there.
TEST(SpoolTest, WhatWasAppendedSurvivesAKillAtAnyMoment) {
  constexpr uint64_t kSeed = 7;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 10; ++round) {
    const TestDirectory directory;
    const std::string path = directory.File("spool");
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto spool = *Spool::Open(path);
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
    EXPECT_GE(static_cast<int64_t>((*Spool::Open(path))->pending().size()), said);
  }
}

TEST(StateDirectoryTest, IdentityIsMadeOnceAndTheDirectoryIsHeldByOne) {
  const TestDirectory directory;
  const std::string& path = directory.path();
  std::string id;
  {
    auto state = *StateDirectory::Open(path);
    id = state->device_id();
    EXPECT_EQ(id.size(), 17U);
    EXPECT_THAT(StateDirectory::Open(path),
                StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("--state-dir")));
  }
  EXPECT_EQ((*StateDirectory::Open(path))->device_id(), id);
}

TEST(StateDirectoryTest, AnAttemptIdThatIsAPathIsRefused) {
  const TestDirectory directory;
  auto state = *StateDirectory::Open(directory.path());
  for (const char* id : {"", "../x", ".", "a/b"}) {
    v1::HeldAttemptRecord record;
    record.mutable_assignment()->set_attempt_id(id);
    EXPECT_THAT(state->WriteAttempt(record),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("attempt id")));
  }
}

TEST(StateDirectoryTest, TheLastTwoAttemptsWorkIsKept) {
  const TestDirectory directory;
  auto state = *StateDirectory::Open(directory.path());
  for (const char* id : {"j1.1", "j2.1", "j3.1"}) {
    v1::HeldAttemptRecord record;
    record.mutable_assignment()->set_attempt_id(id);
    ASSERT_THAT(state->WriteAttempt(record), IsOk());
    std::ofstream(state->WorkDirectory(id) + "/checkpoint") << id;
    state->RemoveAttempt(id);
  }
  EXPECT_TRUE(state->ReadAttempts().empty());
  EXPECT_FALSE(std::filesystem::exists(state->path() + "/attempts/j1.1"));
  EXPECT_EQ(*ReadWholeFile(state->WorkDirectory("j3.1") + "/checkpoint"), "j3.1");
}

}  // namespace
}  // namespace wattle::agent
