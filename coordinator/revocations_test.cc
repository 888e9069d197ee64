// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/revocations.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/status_matchers.h"
#include "base/test_directory.h"
#include "coordinator/backup.h"
#include "coordinator/core/enrolment.h"

namespace wattle {
namespace {

using testing::HasSubstr;

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
  void Enroll(const std::string& kind, const std::string& id, const std::string& key) {
    v1::EnrolmentToken token;
    token.set_token_id("token of " + kind + id + key);
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
  // As the service does it.
  void Revoke(const std::string& kind, const std::string& id) {
    Do(core::RevokeIdentity{kind, id, "left in a train", "ann"});
    EXPECT_THAT(revocations_->Keep(RecordOf(kind, id)), IsOk());
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
  v1::IdentityRecord revoked;
  revoked.set_kind("device");
  revoked.set_id("nano");
  revoked.set_revoked_reason("stolen\nby night");
  ASSERT_THAT(revocations_->Keep(revoked), IsOk());
  EXPECT_THAT(Revocations::Open(data_ + "/revocations"), IsOk());
}

TEST_F(RevocationsTest, ALineThatIsNoneIsNamed) {
  for (const char* line : {"device nano\n", "device nano xyz stolen\n", "board nano - stolen\n",
                           "device na/no - stolen\n"}) {
    std::ofstream(data_ + "/revocations") << "device a - lost\n" << line;
    EXPECT_THAT(Revocations::Open(data_ + "/revocations"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("revocations:2: is no revocation")))
        << line;
  }
}

}  // namespace
}  // namespace wattle
