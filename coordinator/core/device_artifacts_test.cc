// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/device_artifacts.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/testing/fleet_for_test.h"
#include "coordinator/core/testing/spec_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;

TEST(DeviceArtifactsTest, InputsAndCheckpointsOfLeasesAndTheOrderedRelease) {
  v1::DesiredSet desired;
  EXPECT_THAT(ArtifactsOf(desired), testing::IsEmpty());
  v1::Assignment& first = *desired.add_assignments();
  first.add_inputs()->set_artifact_id("model");
  first.add_inputs()->set_artifact_id("data");
  first.add_inputs();  // Not resolved yet.
  first.set_checkpoint_artifact_id("checkpoint");
  desired.add_assignments()->add_inputs()->set_artifact_id("model");
  desired.mutable_upgrade()->set_artifact_id("release");
  EXPECT_THAT(ArtifactsOf(desired),
              testing::ElementsAre(ArtifactId("checkpoint"), ArtifactId("data"),
                                   ArtifactId("model"), ArtifactId("release")));
}

v1::ArtifactInfo UploadOf(const std::string& job, v1::ArtifactKind kind, const std::string& id) {
  v1::ArtifactInfo info;
  info.set_artifact_id(id);
  info.set_kind(kind);
  info.set_job_id(job);
  return info;
}

// j1 has an attempt on device-1, and j2 has none.
class UploadsTest : public testing::Test {
 protected:
  UploadsTest() {
    PlaceFirst(fleet_);
    EXPECT_THAT(Ask(SubmitJob{Finetune(), "second"}), IsOk());
  }
  absl::Status Ask(const Command& command) {
    const Decision decision = Decide(fleet_.state, command, fleet_.observations, Now());
    for (const v1::Event& event : decision.events) {
      Apply(fleet_.state, event, Now().monotonic);
    }
    // A snapshot keeps all that was decided.
    EXPECT_EQ(SnapshotBytes(*ParseSnapshot(SnapshotBytes(fleet_.state))),
              SnapshotBytes(fleet_.state));
    return decision.status;
  }
  absl::Status Upload(const std::string& device, const v1::ArtifactInfo& info) {
    return Ask(CommitArtifact{.info = info, .device = DeviceId(device)});
  }
  bool Has(const std::string& job, const std::string& artifact) {
    return IsUploadedFor(fleet_.state, JobOf(job), ArtifactId(artifact));
  }
  const v1::Job& JobOf(const std::string& job) { return FindJob(fleet_.state, JobId(job))->job(); }
  // The backup of this moment is opened.
  void Restore() {
    OpenJournal open;
    open.lineage_id = "farm";
    open.opening_id = "second";
    open.copy = true;
    EXPECT_THAT(Ask(open), IsOk());
  }
  template <typename Fact>
  Fact OfFirst() {
    Fact fact;
    fact.set_attempt_id("j1.1");
    fact.set_fencing_token(FindAttempt(fleet_.state, AttemptId("j1.1"))->fencing_token());
    return fact;
  }
  absl::Status Tell(v1::Report report) {
    report.set_sequence(++sequence_);
    return Ask(WorkerReport{DeviceId("device-1"), 1, report});
  }

  Fleet fleet_;
  int64_t sequence_ = 0;
};

TEST_F(UploadsTest, ABoardUploadsWhatItsOwnAttemptsMade) {
  constexpr auto kOk = absl::StatusCode::kOk;
  constexpr auto kDenied = absl::StatusCode::kPermissionDenied;
  constexpr auto kNotFound = absl::StatusCode::kNotFound;
  const struct {
    const char* device;
    v1::ArtifactKind kind;
    const char* job;
    const char* name;
    absl::StatusCode code;
  } cases[] = {
      {"device-1", v1::ARTIFACT_KIND_RESULT, "j1", "", kOk},
      {"device-1", v1::ARTIFACT_KIND_CHECKPOINT, "j1", "", kOk},
      {"device-1", v1::ARTIFACT_KIND_MODEL, "j1", "", kDenied},
      {"device-1", v1::ARTIFACT_KIND_DATASET, "j1", "", kDenied},
      {"device-1", v1::ARTIFACT_KIND_RELEASE, "j1", "", kDenied},
      {"device-1", v1::ARTIFACT_KIND_UNSPECIFIED, "j1", "", kDenied},
      {"device-1", v1::ARTIFACT_KIND_RESULT, "j1", "gpt2", kDenied},
      {"device-1", v1::ARTIFACT_KIND_RESULT, "j2", "", kNotFound},
      {"device-1", v1::ARTIFACT_KIND_RESULT, "j9", "", kNotFound},
      {"device-1", v1::ARTIFACT_KIND_RESULT, "", "", kNotFound},
      {"device-1", v1::ARTIFACT_KIND_RESULT, "j1.1", "", kNotFound},
      {"device-2", v1::ARTIFACT_KIND_RESULT, "j1", "", kNotFound},
      {"", v1::ARTIFACT_KIND_RESULT, "j1", "", kNotFound},
  };
  for (const auto& one : cases) {
    v1::ArtifactInfo info = UploadOf(one.job, one.kind, "abc");
    info.set_name(one.name);
    EXPECT_EQ(CheckMayCommit(fleet_.state, DeviceId(one.device), info).code(), one.code)
        << one.device << " " << info.ShortDebugString();
  }
  EXPECT_THAT(Upload("device-2", UploadOf("j1", v1::ARTIFACT_KIND_RESULT, "abc")),
              StatusIs(kNotFound, HasSubstr("no attempt of \"j1\" was on this board")));
}

// The backup lacks all later work on its jobs, but has all facts about later jobs.
TEST_F(UploadsTest, AfterARestoreTheBoardsWordCountsForTheJobsOfTheBackup) {
  Restore();
  ASSERT_THAT(Ask(SubmitJob{Finetune(), "third"}), IsOk());
  const std::string later = absl::StrCat("j", fleet_.state.next_job_number - 1);
  EXPECT_THAT(Upload("device-2", UploadOf("j2", v1::ARTIFACT_KIND_RESULT, "abc")), IsOk());
  EXPECT_TRUE(Has("j2", "abc"));
  EXPECT_THAT(Upload("device-2", UploadOf(later, v1::ARTIFACT_KIND_RESULT, "def")),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
  v1::Report report;
  v1::AttemptFinished& finished = *report.mutable_finished();
  finished.set_attempt_id(absl::StrCat(later, ".7"));  // With a token from before the restore.
  finished.set_fencing_token(77);
  EXPECT_THAT(Tell(report), IsOk());
  EXPECT_EQ(JobOf(later).state(), v1::JOB_STATE_QUEUED);
  EXPECT_THAT(JobOf(later).attempts(), testing::IsEmpty());
  v1::Hello hello;
  *hello.mutable_device() = FindDevice(fleet_.state, DeviceId("device-1"))->info();
  hello.set_incarnation(2);
  v1::HeldAttempt& held = *hello.add_attempts();
  held.set_attempt_id(absl::StrCat(later, ".7"));
  held.set_fencing_token(77);
  held.set_state(v1::ATTEMPT_STATE_RUNNING);
  EXPECT_THAT(Ask(WorkerHello{hello}), IsOk());
  EXPECT_EQ(JobOf(later).state(), v1::JOB_STATE_QUEUED) << "it would read the job's inputs";
}

// Equal jobs make equal bytes, and the store keeps them once.
TEST_F(UploadsTest, WhatSeveralJobsMadeIsEachOnesUntilItEnds) {
  Restore();  // Lets the board upload for j2 too.
  const auto result = [](const char* job) {
    return UploadOf(job, v1::ARTIFACT_KIND_RESULT, "abc");
  };
  ASSERT_THAT(Upload("device-1", result("j1")), IsOk());
  EXPECT_TRUE(Has("j1", "abc"));
  EXPECT_FALSE(Has("j2", "abc"));
  ASSERT_THAT(Upload("device-1", result("j2")), IsOk());
  const SequenceNumber before = fleet_.state.last_sequence;
  ASSERT_THAT(Upload("device-1", result("j2")), IsOk());
  EXPECT_EQ(fleet_.state.last_sequence, before) << "repeated";
  EXPECT_TRUE(Has("j1", "abc"));
  EXPECT_TRUE(Has("j2", "abc"));
  EXPECT_EQ(fleet_.state.artifacts.at(ArtifactId("abc")).job_id(), "j1");
  EXPECT_EQ(ParseSnapshot(SnapshotBytes(fleet_.state))->artifact_bytes,
            fleet_.state.artifact_bytes);
  ASSERT_THAT(Ask(EvictArtifact{ArtifactId("abc"), "room"}), IsOk());
  EXPECT_TRUE(fleet_.state.other_uploads.empty());
  EXPECT_FALSE(Has("j2", "abc"));
  ASSERT_THAT(Upload("device-1", result("j1")), IsOk());
  ASSERT_THAT(Upload("device-1", result("j2")), IsOk());
  ASSERT_THAT(Ask(CancelJob{JobId("j2"), ""}), IsOk());
  EXPECT_TRUE(fleet_.state.other_uploads.empty()) << "no report changes an ended job";
}

TEST_F(UploadsTest, AReportGivesAJobNoArtifactOfAnother) {
  v1::ArtifactInfo secret = TinyModel();
  secret.set_artifact_id("secret");
  secret.clear_name();
  ASSERT_THAT(Ask(CommitArtifact{secret}), IsOk());
  v1::Report report;
  *report.mutable_stopped() = OfFirst<v1::AttemptStopped>();
  report.mutable_stopped()->set_checkpoint_step(900'000);
  report.mutable_stopped()->mutable_checkpoint()->set_artifact_id("secret");
  ASSERT_THAT(Tell(report), IsOk());
  EXPECT_FALSE(FindJob(fleet_.state, JobId("j1"))->has_checkpoint());
  *report.mutable_finished() = OfFirst<v1::AttemptFinished>();
  report.mutable_finished()->mutable_output()->set_artifact_id("secret");
  ASSERT_THAT(Tell(report), IsOk());
  EXPECT_NE(JobOf("j1").state(), v1::JOB_STATE_SUCCEEDED);
  ASSERT_THAT(Upload("device-1", UploadOf("j1", v1::ARTIFACT_KIND_CHECKPOINT, "own")), IsOk());
  *report.mutable_stopped() = OfFirst<v1::AttemptStopped>();
  report.mutable_stopped()->set_checkpoint_step(7);
  report.mutable_stopped()->mutable_checkpoint()->set_artifact_id("own");
  ASSERT_THAT(Tell(report), IsOk());
  EXPECT_EQ(FindJob(fleet_.state, JobId("j1"))->checkpoint().artifact_id(), "own");
}

// Committed by an earlier version, which took a board's word for whose it is.
TEST_F(UploadsTest, WhatIsOfAnotherProjectIsNoJobsAndNobodysOutput) {
  v1::Project project;
  project.set_name("north");
  ASSERT_THAT(Ask(SetProject{project, "root"}), IsOk());
  v1::ArtifactInfo planted = UploadOf("j1", v1::ARTIFACT_KIND_RESULT, "planted");
  planted.add_projects("north");
  ASSERT_THAT(Ask(CommitArtifact{planted}), IsOk());
  EXPECT_FALSE(Has("j1", "planted"));
  fleet_.state.jobs.Mutable(1).mutable_job()->set_output_artifact_id("planted");
  EXPECT_THAT(ResolveArtifact(fleet_.state, "job:j1/output", Scope::Of({"default"})),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none of your projects")));
  EXPECT_THAT(ResolveArtifact(fleet_.state, "job:j1/output", Scope::All()), IsOk());
}

}  // namespace
}  // namespace wattle::core
