// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests rows of another fleet in the state and the journal, and how a receipt states the change of
// rows by its run.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class ImportedProfilesTest : public testing::Test {
 protected:
  Decision Ask(const Command& command) {
    Decision decision = Decide(fleet_.state, command, fleet_.observations, Now());
    for (const v1::Event& event : decision.events) {
      Apply(fleet_.state, event, Now().monotonic);
      events_.push_back(event);
    }
    return decision;
  }

  static v1::ProfileRow Row(const std::string& device_class, int batch) {
    v1::ProfileRow row;
    row.set_device_class(device_class);
    row.set_emulated(true);
    row.mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
    *row.mutable_signature()->mutable_model() = Shape();
    row.mutable_signature()->set_batch_size(batch);
    row.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
    row.mutable_seconds_per_unit()->set_mean(0.001);
    row.mutable_seconds_per_unit()->set_count(3);
    row.set_source(v1::PROFILE_SOURCE_MEASURED);
    return row;
  }
  static ImportProfiles File() {
    ImportProfiles command{{}, "rows.json"};
    command.file.set_format("wattle-profile-rows");
    command.file.set_version(1);
    command.file.set_fleet("00112233aabbccdd");
    *command.file.add_rows() = Row("board-b", 4);
    *command.file.add_rows() = Row("board-b", 8);
    *command.file.add_rows() = Row("board-c", 8);
    return command;
  }
  [[nodiscard]] int Imported() const {
    int rows = 0;
    for (const v1::ProfileRow& row : fleet_.state.profiles.Rows()) {
      rows += row.source() == v1::PROFILE_SOURCE_IMPORTED ? 1 : 0;
    }
    return rows;
  }
  // The receipt of an attempt of a new job that took `seconds` for 1000 training tokens.
  v1::Receipt Finish(double seconds, double watts) {
    const std::string job = Ask(SubmitJob{Finetune(), absl::StrCat("key", ++jobs_)}).id;
    const Instant now = Now();
    Ask(ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, now)));
    const AttemptId id(absl::StrCat(job, ".1"));
    const v1::Attempt& attempt = *FindAttempt(fleet_.state, id);
    Ask(CommitArtifact{[&] {
      v1::ArtifactInfo output = TinyModel();
      output.set_artifact_id(absl::StrCat("aabbccdd3", jobs_));
      output.clear_name();
      output.set_job_id(job);
      return output;
    }()});
    WorkerReport report{DeviceId("device-1"), 1, {}};
    report.report.set_sequence(jobs_);
    v1::AttemptFinished& finished = *report.report.mutable_finished();
    finished.set_attempt_id(id.value());
    finished.set_fencing_token(attempt.fencing_token());
    finished.mutable_output()->set_artifact_id(absl::StrCat("aabbccdd3", jobs_));
    v1::Receipt& receipt = *finished.mutable_receipt();
    receipt.mutable_row_move()->set_runs(77);  // Only the coordinator has the rows.
    receipt.mutable_run()->set_seconds(seconds);
    receipt.mutable_run()->set_mean_power_watts(watts);
    receipt.mutable_run()->set_coverage_ratio(1);
    receipt.mutable_run()->set_source(watts > 0 ? v1::ENERGY_SOURCE_EMULATED
                                                : v1::ENERGY_SOURCE_UNSPECIFIED);
    receipt.mutable_total()->set_seconds(seconds);
    receipt.mutable_work()->set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
    receipt.mutable_work()->set_units(1000);
    receipt.mutable_work()->mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
    *receipt.mutable_work()->mutable_signature()->mutable_model() = Shape();
    receipt.set_restarts(restarts_);
    EXPECT_THAT(Ask(report).status, IsOk());
    return FindAttempt(fleet_.state, id)->receipt();
  }

  Fleet fleet_;
  std::vector<v1::Event> events_;
  int restarts_ = 0;

 private:
  int jobs_ = 0;
};

TEST_F(ImportedProfilesTest, AFileIsOneEventThatReplayAndSnapshotKeep) {
  State replayed = fleet_.state;
  const Decision decision = Ask(File());
  EXPECT_THAT(decision.status, IsOk());
  ASSERT_EQ(decision.events.size(), 1U);
  EXPECT_EQ(decision.events[0].profiles_imported().rows_size(), 3);
  EXPECT_EQ(decision.events[0].profiles_imported().file_name(), "rows.json");
  EXPECT_EQ(Imported(), 3);
  EXPECT_THAT(Ask(RemoveImportedProfiles{"board-c"}).status, IsOk());
  EXPECT_EQ(events_.back().imported_profiles_removed().rows(), 1);
  EXPECT_EQ(Imported(), 2);
  for (const v1::Event& event : events_) {
    Apply(replayed, event, kReplayed);
  }
  EXPECT_EQ(SnapshotBytes(replayed), SnapshotBytes(fleet_.state));
  const auto restored = ParseSnapshot(SnapshotBytes(fleet_.state));
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(SnapshotBytes(*restored), SnapshotBytes(fleet_.state));
}

TEST_F(ImportedProfilesTest, TheSameFileAgainChangesNoRow) {
  Ask(File());
  const std::vector<v1::ProfileRow> before = fleet_.state.profiles.Rows();
  EXPECT_THAT(Ask(File()).status, IsOk());
  const std::vector<v1::ProfileRow> after = fleet_.state.profiles.Rows();
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].SerializeAsString(), before[i].SerializeAsString());
  }
}

TEST_F(ImportedProfilesTest, NothingIsImportedOfAFileWithOneWrongRow) {
  ImportProfiles wrong = File();
  wrong.file.mutable_rows(2)->mutable_seconds_per_unit()->set_mean(0);
  const Decision decision = Ask(wrong);
  EXPECT_THAT(decision.status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rows[2]")));
  EXPECT_THAT(decision.events, IsEmpty());
  EXPECT_EQ(Imported(), 0);
}

TEST_F(ImportedProfilesTest, AFleetDoesNotImportItsOwnRows) {
  ASSERT_THAT(Ask(OpenJournal{.lineage_id = "00112233aabbccdd",
                              .opening_id = "1111222233334444",
                              .copy = false,
                              .epoch_min = 0,
                              .reason = ""})
                  .status,
              IsOk());
  EXPECT_THAT(Ask(File()).status, StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("fleet: \"00112233aabbccdd\" is this fleet")));
}

TEST_F(ImportedProfilesTest, RemovingWhatIsNotThereSaysSo) {
  EXPECT_THAT(
      Ask(RemoveImportedProfiles{}).status,
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no imported profile rows; 'wattle")));
  Ask(File());
  EXPECT_THAT(
      Ask(RemoveImportedProfiles{"abacus"}).status,
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no imported profile rows of class abacus")));
  EXPECT_EQ(Imported(), 3);
}

TEST_F(ImportedProfilesTest, AReceiptSaysByHowMuchItsRunMovedTheRow) {
  const v1::Receipt first = Finish(10, 5);
  EXPECT_EQ(first.row_move().seconds_per_unit_before(), 0);
  EXPECT_NEAR(first.row_move().seconds_per_unit_after(), 0.010, 1e-12);
  EXPECT_NEAR(first.row_move().joules_per_unit_after(), 0.050, 1e-12);
  EXPECT_EQ(first.row_move().runs(), 1);
  const v1::Receipt second = Finish(12, 5);
  EXPECT_NEAR(second.row_move().seconds_per_unit_before(), 0.010, 1e-12);
  EXPECT_NEAR(second.row_move().seconds_per_unit_after(), 0.011, 1e-12);
  EXPECT_NEAR(second.row_move().joules_per_unit_before(), 0.050, 1e-12);
  EXPECT_NEAR(second.row_move().joules_per_unit_after(), 0.055, 1e-12);
  EXPECT_EQ(second.row_move().runs(), 2);
  EXPECT_FALSE(second.row_move().device_changed());
}

TEST_F(ImportedProfilesTest, AReceiptThatTeachesNothingMovesNoRow) {
  Finish(10, 5);
  restarts_ = 1;
  EXPECT_FALSE(Finish(30, 5).has_row_move());
}

}  // namespace
}  // namespace wattle::core
