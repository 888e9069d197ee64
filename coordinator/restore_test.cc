// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests restores without workers. tests/integration/restore_test.py tests them with workers.
#include <filesystem>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/blob_store.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/testing/set_clock_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "coordinator/authority/authority.h"
#include "coordinator/backup.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/store/journal.h"

namespace wattle {
namespace {

using testing::HasSubstr;
using testing::Not;

class RestoreTest : public testing::Test {
 protected:
  RestoreTest() {
    std::filesystem::create_directories(data_);
    std::filesystem::create_directories(backup_);
    auto journal = store::Journal::Open(data_ + "/" + std::string(kJournalFile));
    EXPECT_THAT(journal, IsOk());
    journal_ = *std::move(journal);
    core::OpenJournal open;
    open.lineage_id = "lineage";
    open.opening_id = "opening";
    Do(open);
    v1::ArtifactInfo model;
    model.set_artifact_id(std::string(64, 'a'));
    model.set_name("tiny");
    model.set_kind(v1::ARTIFACT_KIND_MODEL);
    model.mutable_model_shape()->set_architecture("gpt2");
    Do(core::CommitArtifact{model});
  }

  std::string Do(const core::Command& command) {
    core::Observations observations;
    observations.started = {now_, Monotonic()};
    const core::Decision decision =
        core::Decide(state_, command, observations, {now_, Monotonic(absl::Hours(1))});
    EXPECT_THAT(decision.status, IsOk());
    EXPECT_THAT(journal_->Append(decision.events), IsOk());
    for (const v1::Event& event : decision.events) {
      core::Apply(state_, event, core::kReplayed);
    }
    return decision.id;
  }
  std::string Submit(const std::string& name) {
    v1::JobSpec spec;
    spec.set_name(name);
    spec.mutable_quantize()->set_model("tiny");
    spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_INT8);
    return Do(core::SubmitJob{spec, "key of " + name});
  }
  void End(const std::string& job) { Do(core::CancelJob{JobId(job), ""}); }

  const TestDirectory directory_;
  const std::string data_ = directory_.File("data");
  const std::string backup_ = directory_.File("backup");
  std::unique_ptr<store::Journal> journal_;
  core::State state_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
};

// A job that the replaced journal had moved to its history is missing from the backup too.
TEST_F(RestoreTest, NamesTheLostJobsOfTheReplacedJournalsHistory) {
  End(Submit("before"));
  const std::string open = Submit("open");
  ASSERT_THAT(journal_->Backup(backup_ + "/" + std::string(kJournalFile)), IsOk());
  End(open);
  const std::string after = Submit("after");
  End(after);
  now_ += absl::Hours(1);
  Do(core::ArchiveEnded{{.age_max = absl::Minutes(20), .jobs_max = 0}});
  ASSERT_TRUE(state_.jobs.empty());
  journal_.reset();

  const auto told = Restore({.data_directory = data_, .backup = backup_, .replace = true});
  ASSERT_THAT(told, IsOk());
  EXPECT_THAT(*told, HasSubstr(after + " (after) was submitted after the backup"));
  EXPECT_THAT(*told, HasSubstr(open + " had ended"));
  EXPECT_THAT(*told, Not(HasSubstr("(before)")));
}

// The copy opens above the epoch of the journal that it replaces, so that no token is given twice.
TEST_F(RestoreTest, OpensAboveTheEpochOfTheReplacedJournal) {
  ASSERT_THAT(journal_->Backup(backup_ + "/" + std::string(kJournalFile)), IsOk());
  core::OpenJournal copy;
  copy.lineage_id = "lineage";
  copy.opening_id = "opened again";
  copy.copy = true;
  copy.epoch_min = 6;
  Do(copy);
  journal_.reset();

  ASSERT_THAT(Restore({.data_directory = data_, .backup = backup_, .replace = true}), IsOk());
  const auto report = RestoreReport(data_);
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(*report, testing::ContainsRegex("epoch 7 since [-0-9]+ [0-9]+:[0-9]+:[0-9]+ UTC, "));
}

// The backup is newer than the journal that it replaces. The job is archived, so the backup's
// history has it.
TEST_F(RestoreTest, AJobOfTheRestoredHistoryIsNotLost) {
  const std::string job = Submit("archived in the backup");
  const std::string path = data_ + "/" + std::string(kJournalFile);
  ASSERT_THAT(journal_->Backup(directory_.File("older.db")), IsOk());
  End(job);
  now_ += absl::Hours(1);
  Do(core::ArchiveEnded{{.age_max = absl::Minutes(20), .jobs_max = 0}});
  ASSERT_TRUE(state_.jobs.empty());
  ASSERT_THAT(journal_->Backup(backup_ + "/" + std::string(kJournalFile)), IsOk());
  journal_.reset();
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::filesystem::remove(path + suffix);
  }
  std::filesystem::rename(directory_.File("older.db"), path);

  const auto told = Restore({.data_directory = data_, .backup = backup_, .replace = true});
  ASSERT_THAT(told, IsOk());
  EXPECT_THAT(*told, HasSubstr("nothing is missing"));
}

TEST_F(RestoreTest, TheAuthorityGoesWithAPassphraseAlone) {
  const std::string authority = data_ + "/" + std::string(kAuthorityFolder);
  SetClock clock(now_);
  ASSERT_THAT(
      authority::Authority::Open(authority, {.dns_names = {"localhost"}, .addresses = {}}, clock),
      IsOk());
  ASSERT_THAT(artifacts::BlobStore::Open({.directory = data_ + "/" + std::string(kArtifactsFolder)},
                                         Clock::Real()),
              IsOk());
  const std::string without = directory_.File("without");
  ASSERT_THAT(Backup(data_, without), IsOk());
  EXPECT_FALSE(std::filesystem::exists(without + "/" + std::string(kAuthorityFolder)));
  const std::string with = directory_.File("with");
  ASSERT_THAT(Backup(data_, with, "a long passphrase"), IsOk());

  const std::string again = directory_.File("again");
  EXPECT_THAT(
      Restore({.data_directory = again, .backup = with, .passphrase = "another passphrase"}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the passphrase is another one")));
  EXPECT_FALSE(std::filesystem::exists(again)) << "a wrong passphrase changes nothing";
  EXPECT_THAT(
      Restore({.data_directory = again, .backup = without, .passphrase = "a long passphrase"}),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("the backup has no authority")));
  ASSERT_THAT(Restore({.data_directory = again, .backup = with, .passphrase = "a long passphrase"}),
              IsOk());
  for (const char* file : {"/root.pem", "/root_key.pem", "/issuer_key.pem", "/fleet"}) {
    EXPECT_EQ(*ReadWholeFile(again + "/" + kAuthorityFolder + file),
              *ReadWholeFile(authority + file));
  }
  const auto told = Restore({.data_directory = directory_.File("third"), .backup = with});
  ASSERT_THAT(told, IsOk());
  EXPECT_THAT(*told, HasSubstr("--passphrase-file restores it"));
  const auto bare = Restore({.data_directory = directory_.File("fourth"), .backup = without});
  ASSERT_THAT(bare, IsOk());
  EXPECT_THAT(*bare, HasSubstr("the backup has no authority: copy the old coordinator's to"));
}

}  // namespace
}  // namespace wattle
