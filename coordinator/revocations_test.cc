// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/revocations.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "coordinator/backup.h"
#include "coordinator/core/enrolment.h"

namespace wattle {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(60);

class RevocationsTest : public testing::Test {
 protected:
  RevocationsTest() { Start(); }
  ~RevocationsTest() override { Stop(); }

  void Start() {
    for (const char* folder : {"manifests", "pins", "chunks"}) {
      std::filesystem::create_directories(data_ + "/artifacts/" + folder);
    }
    runtime::RuntimeOptions options;
    options.journal_path = data_ + "/" + std::string(kJournalFile);
    auto started = runtime::Runtime::Start(options, nullptr);
    ASSERT_THAT(started, IsOk());
    runtime_ = *std::move(started);
    auto opened = Revocations::Open(data_ + "/" + std::string(kRevocationsFile));
    ASSERT_THAT(opened, IsOk());
    revocations_ = *std::move(opened);
  }
  void Stop() {
    if (runtime_ != nullptr) {
      runtime_->Stop();
    }
    runtime_.reset();
  }
  void Do(core::Command command) {
    ASSERT_THAT(runtime_->PostAndWait(std::move(command), kPatience).status, IsOk());
  }
  // Makes a token for a device.
  void MakeToken(const std::string& token_id, bool approve = false, int uses = 1) {
    v1::EnrolmentToken token;
    token.set_token_id(token_id);
    token.set_kind(core::kDeviceKind);
    token.set_uses(uses);
    token.set_approve(approve);
    token.set_expires_unix_seconds(4e9);
    Do(core::CreateTokens{{token}});
  }
  void Spend(const std::string& token_id, const std::string& id, const std::string& key) {
    core::Enrol enrol;
    enrol.identity.set_id(id);
    enrol.identity.set_token_id(token_id);
    enrol.identity.set_public_key_sha256(key);
    Do(enrol);
    EXPECT_THAT(revocations_->Keep(*runtime_, core::kDeviceKind, id), IsOk());
    EXPECT_THAT(revocations_->Keep(*runtime_, core::kTokenKind, token_id), IsOk());
  }
  void Enroll(const std::string& kind, const std::string& id, const std::string& key) {
    v1::EnrolmentToken token;
    token.set_token_id("of-" + kind + id + std::to_string(++tokens_));
    token.set_kind(kind);
    token.set_person(kind == core::kPersonKind ? id : "");
    token.set_uses(1);
    token.set_expires_unix_seconds(4e9);
    Do(core::CreateTokens{{token}});
    core::Enrol enrol;
    enrol.identity.set_id(id);
    enrol.identity.set_token_id(token.token_id());
    enrol.identity.set_public_key_sha256(key);
    Do(enrol);
  }
  void RestoreBackup() {
    Stop();
    ASSERT_THAT(Restore({.data_directory = data_, .backup = backup_, .replace = true}), IsOk());
    Start();
  }
  [[nodiscard]] v1::EnrolmentToken TokenOf(const std::string& id) const {
    return *runtime_->Version()->tokens.Find(id);
  }
  [[nodiscard]] std::string File() const { return *ReadWholeFile(data_ + "/revocations"); }
  // Revokes by the same steps as the service.
  void Revoke(const std::string& kind, const std::string& id) {
    Do(core::RevokeIdentity{kind, id, "left in a train", "ann"});
    EXPECT_THAT(revocations_->Keep(*runtime_, kind, id), IsOk());
  }
  [[nodiscard]] v1::IdentityRecord RecordOf(const std::string& kind, const std::string& id) const {
    return runtime_->Read([&](const core::State& state) {
      const v1::IdentityRecord* const known = core::FindIdentity(state, kind, id);
      return known == nullptr ? v1::IdentityRecord() : *known;
    });
  }

  const TestDirectory directory_;
  const std::string data_ = directory_.File("data");
  const std::string backup_ = directory_.File("backup");
  const std::string key_ = std::string(32, 'k');
  const std::string later_key_ = std::string(32, 'n');
  int tokens_ = 0;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<Revocations> revocations_;
};

TEST_F(RevocationsTest, ARestoredBackupKeepsLaterRevocations) {
  Enroll("device", "nano", key_);
  Enroll("person", "eve", key_);
  Enroll("device", "back", key_);
  ASSERT_THAT(Backup(data_, backup_), IsOk());
  Enroll("device", "late", key_);  // The backup does not know it.
  Revoke("device", "nano");
  Revoke("device", "late");
  Revoke("person", "eve");
  Revoke("device", "back");
  Enroll("device", "back", std::string(32, 'n'));
  Stop();
  ASSERT_THAT(Restore({.data_directory = data_, .backup = backup_, .replace = true}), IsOk());
  Start();
  EXPECT_FALSE(RecordOf("device", "nano").revoked()) << "the backup knows no better";
  const absl::StatusOr<int> again = revocations_->Agree(*runtime_);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, 4);
  EXPECT_TRUE(RecordOf("device", "nano").revoked());
  EXPECT_EQ(RecordOf("device", "nano").revoked_reason(), "left in a train");
  EXPECT_TRUE(RecordOf("device", "late").revoked());
  EXPECT_TRUE(RecordOf("person", "eve").revoked());
  EXPECT_TRUE(RecordOf("device", "back").revoked()) << "its old key is the backup's";
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
}

TEST_F(RevocationsTest, ANewKeyIsNotRevokedAgain) {
  Enroll("device", "nano", key_);
  Revoke("device", "nano");
  Enroll("device", "nano", std::string(32, 'n'));
  Stop();
  Start();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
  EXPECT_FALSE(RecordOf("device", "nano").revoked());
}

// Whoever had a name before it was revoked is out, by whatever key: a person's second login stands
// for the first.
TEST_F(RevocationsTest, AnEarlierKeyOfARevokedNameComesNotBack) {
  Enroll("person", "eve", key_);
  Enroll("person", "ann", key_);
  ASSERT_THAT(Backup(data_, backup_), IsOk());
  Enroll("person", "eve", later_key_);
  Revoke("person", "eve");
  Enroll("person", "ann", later_key_);
  RestoreBackup();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 1);
  EXPECT_TRUE(RecordOf("person", "eve").revoked());
  EXPECT_FALSE(RecordOf("person", "ann").revoked());
  // Who is let in after the restore stays, and was there before an earlier restore is out again.
  Enroll("person", "eve", std::string(32, 'm'));
  Stop();
  Start();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
  EXPECT_FALSE(RecordOf("person", "eve").revoked());
  RestoreBackup();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 1);
  EXPECT_TRUE(RecordOf("person", "eve").revoked());
}

TEST_F(RevocationsTest, WhoEnrolledAfterTheRevocationStaysThroughARestore) {
  Enroll("device", "nano", key_);
  Revoke("device", "nano");
  Enroll("device", "nano", later_key_);
  ASSERT_THAT(Backup(data_, backup_), IsOk());
  RestoreBackup();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
  EXPECT_FALSE(RecordOf("device", "nano").revoked());
}

TEST_F(RevocationsTest, ATokenThatEndedAfterTheBackupEndsAgain) {
  for (const char* id : {"spent", "revoked", "good"}) {
    MakeToken(id);
  }
  v1::EnrolmentToken service;
  service.set_token_id("page");
  service.set_kind(core::kServiceKind);
  service.set_expires_unix_seconds(4e9);
  Do(core::CreateTokens{{service}});
  ASSERT_THAT(Backup(data_, backup_), IsOk());
  Spend("spent", "nano", key_);
  for (const char* id : {"revoked", "page"}) {
    Do(core::RevokeToken{id, "ann", true});
    ASSERT_THAT(revocations_->Keep(*runtime_, core::kTokenKind, id), IsOk());
  }
  RestoreBackup();
  EXPECT_EQ(TokenOf("spent").used(), 0) << "the backup knows no better";
  EXPECT_EQ(*revocations_->Agree(*runtime_), 3);
  EXPECT_TRUE(TokenOf("spent").revoked());
  EXPECT_TRUE(TokenOf("revoked").revoked());
  EXPECT_TRUE(TokenOf("page").revoked());
  EXPECT_FALSE(TokenOf("good").revoked());
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
}

TEST_F(RevocationsTest, ATokenForSeveralBoardsKeepsItsUses) {
  MakeToken("batch", /*approve=*/false, 4);
  MakeToken("later", /*approve=*/false, 4);
  Spend("batch", "a", key_);
  ASSERT_THAT(Backup(data_, backup_), IsOk());
  Spend("batch", "b", key_);
  Spend("batch", "c", key_);
  EXPECT_THAT(File(), HasSubstr(" batch used 2096-10-02T07:06:40Z 3\n"));
  RestoreBackup();
  EXPECT_EQ(TokenOf("batch").used(), 1) << "the backup knows no better";
  EXPECT_EQ(*revocations_->Agree(*runtime_), 1);
  EXPECT_EQ(TokenOf("batch").used(), 3);
  EXPECT_FALSE(IsSpent(TokenOf("batch")));
  EXPECT_EQ(TokenOf("later").used(), 0);
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
  // What the backup counted higher stays.
  Spend("later", "d", key_);
  std::filesystem::remove_all(backup_);
  ASSERT_THAT(Backup(data_, backup_), IsOk());
  RestoreBackup();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
  EXPECT_EQ(TokenOf("batch").used(), 3);
  Spend("batch", "e", key_);
  EXPECT_THAT(File(), AllOf(HasSubstr(" batch spent "), HasSubstr(" later used ")));
  RestoreBackup();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 1);
  EXPECT_TRUE(IsSpent(TokenOf("batch")));
}

TEST_F(RevocationsTest, ABoardThatWaitsForApprovalWaitsAgain) {
  MakeToken("by-a-later-one", true);
  ASSERT_THAT(Backup(data_, backup_), IsOk());
  MakeToken("made-later", true);
  Spend("by-a-later-one", "waits", key_);
  Spend("made-later", "unknown", key_);
  MakeToken("approved", true);
  Spend("approved", "good", key_);
  Do(core::ApproveDevice{DeviceId("good"), "ann"});
  ASSERT_THAT(revocations_->Keep(*runtime_, core::kDeviceKind, "good"), IsOk());
  RestoreBackup();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 2);
  for (const char* id : {"waits", "unknown"}) {
    EXPECT_TRUE(core::WaitsForApproval(*runtime_->Version(), DeviceId(id))) << id;
    EXPECT_EQ(RecordOf("device", id).public_key_sha256(), key_);
    Do(core::ApproveDevice{DeviceId(id), "ann"});
    ASSERT_THAT(revocations_->Keep(*runtime_, core::kDeviceKind, id), IsOk());
  }
  EXPECT_FALSE(core::WaitsForApproval(*runtime_->Version(), DeviceId("good")));
  EXPECT_TRUE(IsSpent(TokenOf("by-a-later-one")));
  Stop();
  Start();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
  EXPECT_FALSE(core::WaitsForApproval(*runtime_->Version(), DeviceId("waits")));
}

TEST_F(RevocationsTest, WhatHasEndedLeavesTheFileAtAStart) {
  std::ofstream(data_ + "/revocations")
      << "token 2020-01-01T00:00:00Z old spent 2020-01-02T00:00:00Z\n"
      << "token 2020-01-01T00:00:00Z long revoked 2100-01-01T00:00:00Z\n"
      << "device nano " << std::string(64, 'a') << " lost\n";
  Stop();
  Start();
  EXPECT_EQ(*revocations_->Agree(*runtime_), 1) << "of the earlier version's line";
  EXPECT_THAT(File(), AllOf(Not(HasSubstr(" old ")), HasSubstr(" long "),
                            HasSubstr(" device nano - lost"), Not(HasSubstr("aaa"))));
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
}

// Many at the same time share the writes of the file, and each is there when its call returns.
TEST_F(RevocationsTest, CallsAtTheSameTimeAreAllKept) {
  constexpr int kBoards = 40;
  for (int i = 0; i < kBoards; ++i) {
    Enroll("device", "d" + std::to_string(i), key_);
    Do(core::RevokeIdentity{"device", "d" + std::to_string(i), "lost", "ann"});
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < kBoards; ++i) {
    threads.emplace_back([this, i] {
      const std::string id = "d" + std::to_string(i);
      EXPECT_THAT(revocations_->Keep(*runtime_, "device", id), IsOk());
      EXPECT_THAT(File(), HasSubstr(" device " + id + " "));
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(RevocationsTest, WhatTheJournalAloneKnowsIsKeptToo) {
  Enroll("device", "nano", key_);
  Do(core::RevokeIdentity{"device", "nano", "stolen", "ann"});  // And the process ended.
  EXPECT_EQ(*revocations_->Agree(*runtime_), 0);
  EXPECT_THAT(*ReadWholeFile(data_ + "/revocations"), HasSubstr("device nano 6b6b"));
}

TEST_F(RevocationsTest, ABackupHasThoseOfItsTime) {
  Enroll("device", "nano", key_);
  Revoke("device", "nano");
  ASSERT_THAT(Backup(data_, backup_), IsOk());
  Stop();
  std::filesystem::remove_all(data_);
  ASSERT_THAT(Restore({.data_directory = data_, .backup = backup_}), IsOk());
  EXPECT_THAT(*ReadWholeFile(data_ + "/revocations"), HasSubstr("device nano 6b6b"));
}

TEST_F(RevocationsTest, AReasonOfSeveralLinesIsOneLine) {
  Enroll("device", "nano", key_);
  Do(core::RevokeIdentity{"device", "nano", "stolen\nby night", "ann"});
  ASSERT_THAT(revocations_->Keep(*runtime_, "device", "nano"), IsOk());
  EXPECT_THAT(Revocations::Open(data_ + "/revocations"), IsOk());
}

TEST_F(RevocationsTest, ALineThatIsNoneIsNamed) {
  for (const char* line : {"device nano\n", "device nano xyz stolen\n", "board nano - stolen\n",
                           "device na/no - stolen\n", "revoked device nano - stolen\n",
                           "revoked 2026-01-02T03:04:05Z 0 x device nano - stolen\n",
                           "waits 2026-01-02T03:04:05Z 0 7 nano AAAA\n",
                           "token 2026-01-02T03:04:05Z id lost 2026-01-02T03:04:05Z\n",
                           "token 2026-01-02T03:04:05Z id used 2026-01-02T03:04:05Z\n",
                           "token 2026-01-02T03:04:05Z id used 2026-01-02T03:04:05Z 0\n",
                           "token 2026-01-02T03:04:05Z id used 2026-01-02T03:04:05Z x\n",
                           "token 2026-01-02T03:04:05Z id spent 2026-01-02T03:04:05Z 3\n"}) {
    std::ofstream(data_ + "/revocations") << "device a - lost\n" << line;
    EXPECT_THAT(Revocations::Open(data_ + "/revocations"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("revocations:2: is no revocation")))
        << line;
  }
}

}  // namespace
}  // namespace wattle
