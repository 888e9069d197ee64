// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/state_directory.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/agent/storage/memory_disk.h"
#include "worker/agent/storage/posix_disk.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;

v1::DesiredSet Reserve(double ratio) {
  v1::DesiredSet desired;
  desired.add_policies()->set_reserve_state_of_charge_ratio(ratio);
  return desired;
}
v1::HeldAttemptRecord Held(const std::string& id, int64_t token = 1) {
  v1::HeldAttemptRecord record;
  record.mutable_assignment()->set_attempt_id(id);
  record.mutable_assignment()->set_fencing_token(token);
  return record;
}

class StateDirectoryTest : public testing::Test {
 protected:
  StateDirectoryTest() { Open(); }
  void Open() { state_ = *StateDirectory::Open(&disk_); }

  MemoryDisk disk_{/*seed=*/1};
  std::unique_ptr<StateDirectory> state_;
};

TEST_F(StateDirectoryTest, TheIdentityIsMadeOnceAndEitherCopyIsEnough) {
  const std::string id = state_->device_id();
  EXPECT_EQ(id.size(), 17U);
  for (const char* name : {"identity", "identity.copy"}) {
    const std::string whole = disk_.files().at(name);
    for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
      disk_.FlipBit(name, bit);
      Open();
      ASSERT_EQ(state_->device_id(), id) << name << " bit " << bit;
      ASSERT_EQ(disk_.files().at(name), whole) << name << " bit " << bit;
    }
  }
}

TEST_F(StateDirectoryTest, AnIdentityThatCannotBeReadDoesNotMakeANewDevice) {
  ASSERT_THAT(disk_.Replace("identity", ""), IsOk());
  disk_.SetUnreadable("identity.copy", true);
  EXPECT_THAT(StateDirectory::Open(&disk_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("restore it from a backup")));
}

TEST_F(StateDirectoryTest, TheIdentityOfAnOlderWorkerIsRead) {
  ASSERT_THAT(disk_.Replace("identity", "d0123456789abcdef\n"), IsOk());
  disk_.Forget("identity.copy");
  Open();
  EXPECT_EQ(state_->device_id(), "d0123456789abcdef");
}

TEST_F(StateDirectoryTest, LimitsThatWereNeverWrittenAreAbsentAndDamagedOnesComeFromTheCopy) {
  EXPECT_EQ(state_->ReadDesired().state, RecordState::kAbsent);
  ASSERT_THAT(state_->WriteDesired(Reserve(0.3)), IsOk());
  EXPECT_EQ(state_->ReadDesired().state, RecordState::kWhole);
  const std::string whole = disk_.files().at("desired.pb");
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    ASSERT_THAT(disk_.Replace("desired.pb", whole), IsOk());
    disk_.FlipBit("desired.pb", bit);
    const auto stored = state_->ReadDesired();
    ASSERT_EQ(stored.state, RecordState::kCopy) << bit;
    ASSERT_EQ(stored.record.policies(0).reserve_state_of_charge_ratio(), 0.3) << bit;
  }
}

TEST_F(StateDirectoryTest, LimitsThatCannotBeReadDoNotCountAsNoLimits) {
  ASSERT_THAT(state_->WriteDesired(Reserve(0.3)), IsOk());
  ASSERT_THAT(disk_.Replace("desired.pb", ""), IsOk());
  disk_.SetUnreadable("desired.pb.copy", true);
  const auto stored = state_->ReadDesired();
  EXPECT_EQ(stored.state, RecordState::kUnreadable);
  EXPECT_THAT(stored.problem, HasSubstr("desired.pb: the file is empty"));
}

TEST_F(StateDirectoryTest, RecordsOfAnOlderWorkerAreRead) {
  ASSERT_THAT(disk_.Replace("desired.pb", Reserve(0.3).SerializeAsString()), IsOk());
  EXPECT_EQ(state_->ReadDesired().record.policies(0).reserve_state_of_charge_ratio(), 0.3);
}

TEST_F(StateDirectoryTest, ADamagedAttemptIsReadAsItStoodBefore) {
  ASSERT_THAT(state_->WriteAttempt(Held("j1.1", 1)), IsOk());
  ASSERT_THAT(state_->WriteAttempt(Held("j1.1", 2)), IsOk());
  disk_.FlipBit("attempts/j1.1/state.pb", 200);
  Open();
  EXPECT_EQ(state_->ReadAttempts().at("j1.1").assignment().fencing_token(), 1);
  // The damaged record must not replace the good copy.
  ASSERT_THAT(state_->WriteAttempt(Held("j1.1", 3)), IsOk());
  disk_.FlipBit("attempts/j1.1/state.pb", 200);
  Open();
  EXPECT_EQ(state_->ReadAttempts().at("j1.1").assignment().fencing_token(), 1);
}

TEST_F(StateDirectoryTest, ARemovedAttemptDoesNotComeBack) {
  ASSERT_THAT(state_->WriteAttempt(Held("j1.1")), IsOk());
  ASSERT_THAT(state_->WriteAttempt(Held("j1.1")), IsOk());
  state_->RemoveAttempt("j1.1");
  Open();
  EXPECT_TRUE(state_->ReadAttempts().empty());
}

TEST_F(StateDirectoryTest, AnAttemptIdThatIsAPathIsRefused) {
  for (const char* id : {"", "../x", ".", "a/b"}) {
    const auto refused =
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not an attempt id"));
    EXPECT_THAT(state_->WriteAttempt(Held(id)), refused);
    EXPECT_THAT(state_->TakeWork(id, "j1.2"), refused);
    EXPECT_THAT(state_->TakeWork("j1.1", id), refused);
  }
}

TEST_F(StateDirectoryTest, TheLastTwoAttemptsWorkIsKept) {
  for (const char* id : {"j1.1", "j2.1", "j3.1"}) {
    ASSERT_THAT(state_->WriteAttempt(Held(id)), IsOk());
    ASSERT_THAT(disk_.Replace(state_->WorkDirectory(id) + "/checkpoint", id), IsOk());
    state_->RemoveAttempt(id);
  }
  EXPECT_TRUE(state_->ReadAttempts().empty());
  EXPECT_EQ(disk_.files().count("attempts/j1.1/work/checkpoint"), 0U);
  EXPECT_EQ(disk_.files().at("attempts/j2.1/work/checkpoint"), "j2.1");
  EXPECT_EQ(disk_.files().at("attempts/j3.1/work/checkpoint"), "j3.1");
}

TEST_F(StateDirectoryTest, LeftWorkIsDeletedWithThatOfOpenJobsLast) {
  state_->KeepWorkOf({"j1"});
  for (const char* id : {"j1.1", "j2.1", "j3.1", "j4.1"}) {
    ASSERT_THAT(state_->WriteAttempt(Held(id)), IsOk());
    ASSERT_THAT(disk_.Replace(state_->WorkDirectory(id) + "/checkpoint", "1000"), IsOk());
    if (id != std::string("j4.1")) {
      state_->RemoveAttempt(id);
    }
  }
  const auto has = [this](const std::string& id) {
    return disk_.files().count("attempts/" + id + "/work/checkpoint") > 0;
  };
  EXPECT_EQ(state_->FreeLeftWork(0), 0);
  EXPECT_EQ(state_->FreeLeftWork(3), 4);
  EXPECT_FALSE(has("j2.1")) << "the oldest of a job that is not open";
  EXPECT_EQ(state_->FreeLeftWork(5), 8);
  EXPECT_FALSE(has("j3.1"));
  EXPECT_FALSE(has("j1.1"));
  EXPECT_TRUE(has("j4.1")) << "held";
  EXPECT_EQ(state_->FreeLeftWork(1), 0);
}

TEST_F(StateDirectoryTest, ResultsAreKeptUntilTheyGiveWay) {
  state_->KeepWorkOf({"j9"});
  for (const char* id : {"j1.1", "j2.1", "j3.1"}) {
    ASSERT_THAT(state_->WriteAttempt(Held(id)), IsOk());
    ASSERT_THAT(disk_.Replace(state_->OutputDirectory(id) + "/weights", "1234"), IsOk());
    ASSERT_THAT(state_->KeepResult(id), IsOk());
    state_->RemoveAttempt(id);
  }
  EXPECT_EQ(state_->ResultSizeBytes("j1.1"), 4);
  EXPECT_EQ(*disk_.Read(state_->ResultDirectory("j2.1") + "/weights"), "1234");
  state_->KeepResultsOf({"j3.1", "j1.1"});
  EXPECT_EQ(state_->ResultSizeBytes("j2.1"), 0);
  // Checkpoints of jobs that are not open are removed before results, those of open jobs after
  // them.
  for (const char* id : {"j8.1", "j9.1"}) {
    ASSERT_THAT(state_->WriteAttempt(Held(id)), IsOk());
    ASSERT_THAT(disk_.Replace(state_->WorkDirectory(id) + "/checkpoint", "12"), IsOk());
    state_->RemoveAttempt(id);
  }
  EXPECT_EQ(state_->FreeLeftWork(3), 6);
  EXPECT_EQ(state_->ResultSizeBytes("j1.1"), 0) << "the oldest";
  EXPECT_EQ(state_->ResultSizeBytes("j3.1"), 4);
  EXPECT_EQ(disk_.files().count("attempts/j9.1/work/checkpoint"), 1U);
  state_->RemoveAllWork();
  EXPECT_EQ(state_->ResultSizeBytes("j3.1"), 0);
}

TEST_F(StateDirectoryTest, AnOutputThatIsNotThereIsNoResult) {
  EXPECT_FALSE(state_->KeepResult("j1.1").ok()) << "there is none";
  EXPECT_EQ(state_->ResultSizeBytes("j1.1"), 0);
}

TEST_F(StateDirectoryTest, AFormatOfAnotherVersionIsRefusedBeforeAnyWrite) {
  for (const char* format : {"2\n", "0\n", "later"}) {
    MemoryDisk disk(/*seed=*/1);
    ASSERT_THAT(disk.Replace("format", format), IsOk());
    const auto before = disk.files();
    EXPECT_THAT(StateDirectory::Open(&disk),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reads 1 to 1; start")));
    EXPECT_EQ(disk.files(), before);
    ASSERT_THAT(disk.Replace("format", "1\n"), IsOk());
    EXPECT_THAT(StateDirectory::Open(&disk), IsOk());
  }
}

TEST(PosixStateDirectoryTest, OneProcessHoldsTheDirectory) {
  const TestDirectory directory;
  auto disk = *PosixDisk::Open(directory.path());
  EXPECT_THAT(PosixDisk::Open(directory.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--state-dir")));
  disk.reset();
  EXPECT_TRUE(PosixDisk::Open(directory.path()).ok());
}

TEST_F(StateDirectoryTest, DamagedRatesAreThoseBeforeThem) {
  EXPECT_EQ(state_->ReadRates().state, RecordState::kAbsent);
  v1::DeviceInfo record;
  for (const int cores : {2, 4}) {
    record.set_cores(cores);
    ASSERT_THAT(state_->WriteRates(record), IsOk());
  }
  Open();
  EXPECT_EQ(state_->ReadRates().record.cores(), 4);
  disk_.FlipBit("rates.pb", 20);
  const auto stored = state_->ReadRates();
  EXPECT_EQ(stored.state, RecordState::kCopy);
  EXPECT_EQ(stored.record.cores(), 2);
}

}  // namespace
}  // namespace wattle::agent
