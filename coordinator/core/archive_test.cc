// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"

namespace wattle::core {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ArchiveTest : public testing::Test {
 protected:
  ArchiveTest() {
    v1::ArtifactInfo model;
    model.set_artifact_id(std::string(64, 'a'));
    model.set_name("tiny");
    model.set_kind(v1::ARTIFACT_KIND_MODEL);
    model.mutable_model_shape()->set_architecture("gpt2");
    Do(CommitArtifact{model});
  }

  Decision Do(const Command& command) {
    Decision decision = Decide(state_, command, Observed(), Now());
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, Now().monotonic);
    }
    return decision;
  }
  static v1::JobSpec Quantize(const std::string& model) {
    v1::JobSpec spec;
    spec.mutable_quantize()->set_model(model);
    spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_INT8);
    return spec;
  }
  // Submits a job, ends it now, and returns its id.
  std::string EndedJob(const std::string& key) {
    const std::string id = Do(SubmitJob{Quantize("tiny"), key}).id;
    Do(CancelJob{JobId(id), ""});
    return id;
  }
  std::vector<std::string> JobIds() const {
    std::vector<std::string> ids;
    for (const auto& [number, record] : state_.jobs) {
      ids.push_back(record.job().job_id());
    }
    return ids;
  }

  State state_;
  [[nodiscard]] Instant Now() const { return {now_ + clock_step_, Monotonic(now_ - kStart)}; }
  [[nodiscard]] bool AnythingToArchive(const Retention& retention) const {
    return core::AnythingToArchive(state_, started_, retention, Now());
  }
  [[nodiscard]] Observations Observed() const {
    Observations observations;
    observations.started = started_;
    return observations;
  }
  // The process ends. Another process replays the journal.
  void Restart() {
    absl::StatusOr<State> replayed = ParseSnapshot(SnapshotBytes(state_));
    ASSERT_THAT(replayed, IsOk());
    state_ = *std::move(replayed);
    started_ = Now();
  }

  static constexpr absl::Time kStart = absl::FromUnixSeconds(1'000'000);
  absl::Time now_ = kStart;  // The true time.
  absl::Duration clock_step_ = absl::ZeroDuration();
  Instant started_ = {kStart, Monotonic()};
};

TEST_F(ArchiveTest, JobsLeaveByAgeAndOpenOnesStay) {
  EndedJob("a");
  Do(SubmitJob{Quantize("tiny"), "b"});
  now_ += absl::Hours(2);
  EndedJob("c");
  now_ += absl::Minutes(30);
  const Retention retention{.age_max = absl::Hours(1), .jobs_max = 100};
  EXPECT_TRUE(AnythingToArchive(retention));
  const Decision decision = Do(ArchiveEnded{retention});
  ASSERT_THAT(decision.events, testing::SizeIs(1));
  EXPECT_EQ(decision.events[0].job_archived().job().job_id(), "j1");
  EXPECT_EQ(decision.events[0].job_archived().idempotency_key(), "a");
  EXPECT_THAT(JobIds(), ElementsAre("j2", "j3"));
  EXPECT_FALSE(AnythingToArchive(retention));
}

TEST_F(ArchiveTest, BeyondTheCountTheOldestLeave) {
  for (int i = 0; i < 4; ++i) {
    EndedJob(absl::StrCat("key-", i));
    now_ += absl::Minutes(11);
  }
  Do(ArchiveEnded{{.age_max = absl::Hours(10), .jobs_max = 1}});
  EXPECT_THAT(JobIds(), ElementsAre("j4"));
}

TEST_F(ArchiveTest, AJobStaysForLongerThanASubmitIsRepeated) {
  EndedJob("a");
  now_ += absl::Minutes(9);
  const Retention nothing{.age_max = absl::ZeroDuration(), .jobs_max = 0};
  EXPECT_FALSE(AnythingToArchive(nothing));
  Do(ArchiveEnded{nothing});
  EXPECT_TRUE(Do(SubmitJob{Quantize("tiny"), "a"}).existed);
}

TEST_F(ArchiveTest, ManyLeaveInSeveralCommands) {
  for (int i = 0; i < 450; ++i) {
    EndedJob(absl::StrCat("key-", i));
  }
  now_ += absl::Hours(1);
  const Retention retention{.age_max = absl::Minutes(20), .jobs_max = 0};
  int commands = 0;
  while (AnythingToArchive(retention)) {
    Do(ArchiveEnded{retention});
    ASSERT_LT(++commands, 10);
  }
  EXPECT_EQ(commands, 3);
  EXPECT_TRUE(state_.jobs.empty());
}

TEST_F(ArchiveTest, CountsByStateKeepArchivedJobsAlsoThroughASnapshot) {
  EndedJob("a");
  EndedJob("b");
  Do(SubmitJob{Quantize("tiny"), "c"});
  const auto counts = state_.job_counts;
  EXPECT_EQ(counts.at(v1::JOB_STATE_CANCELLED), 2);
  EXPECT_EQ(counts.at(v1::JOB_STATE_QUEUED), 1);
  now_ += absl::Hours(1);
  Do(ArchiveEnded{{.age_max = absl::Minutes(20), .jobs_max = 0}});
  EXPECT_EQ(state_.jobs.size(), 1U);
  EXPECT_EQ(state_.job_counts, counts);

  const auto back = ParseSnapshot(SnapshotBytes(state_));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->job_counts.at(v1::JOB_STATE_CANCELLED), 2);
  EXPECT_EQ(*SnapshotDigest(*back), *SnapshotDigest(state_));
}

TEST_F(ArchiveTest, OfAnEndedJobTheHistoryAloneKeepsTheExplanations) {
  const std::string id = Do(SubmitJob{Quantize("tiny"), "a"}).id;
  v1::Event event;
  event.set_sequence(state_.last_sequence.value() + 1);
  v1::AttemptPlaced& placed = *event.mutable_attempt_placed();
  placed.set_job_id(id);
  placed.set_attempt_id(id + ".1");
  placed.set_device_id("device-1");
  placed.mutable_prediction()->mutable_run_seconds()->set_mean(7);
  placed.mutable_placement()->add_best();
  Apply(state_, event, kReplayed);
  EXPECT_EQ(FindAttempt(state_, AttemptId(id + ".1"))->placement().best_size(), 1);
  Do(CancelJob{JobId(id), ""});
  EXPECT_FALSE(FindAttempt(state_, AttemptId(id + ".1"))->has_placement());
  EXPECT_EQ(FindAttempt(state_, AttemptId(id + ".1"))->prediction().run_seconds().mean(), 7);
}

TEST_F(ArchiveTest, TheOutputOfAnArchivedJobIsStillAnInput) {
  v1::Job archived;
  archived.set_job_id("j7");
  archived.set_state(v1::JOB_STATE_SUCCEEDED);
  archived.mutable_spec()->mutable_quantize();
  archived.set_output_artifact_id(std::string(64, 'a'));
  const v1::JobSpec spec = Quantize("job:j7/output");
  EXPECT_THAT(ReferencedJobs(spec), ElementsAre(JobId("j7")));
  EXPECT_THAT(Do(SubmitJob{spec, "a"}).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("j7")));
  const Decision decision = Do(SubmitJob{spec, "b", {archived}});
  ASSERT_THAT(decision.status, IsOk());
  EXPECT_EQ(FindJob(state_, JobId(decision.id))->job().inputs(0).artifact_id(),
            std::string(64, 'a'));
}

// A step of the wall clock makes no job older or younger.
TEST_F(ArchiveTest, AStepOfTheClockArchivesNothingEarlyAndDelaysNothing) {
  const Retention retention{.age_max = absl::Hours(1), .jobs_max = 100};
  for (const absl::Duration step : {absl::Hours(240), -absl::Hours(240)}) {
    const std::string id = EndedJob(absl::StrCat("key ", absl::FormatDuration(step)));
    clock_step_ = step;
    now_ += absl::Minutes(59);
    EXPECT_FALSE(AnythingToArchive(retention)) << step;
    now_ += absl::Minutes(2);
    EXPECT_TRUE(AnythingToArchive(retention)) << step;
    Do(ArchiveEnded{retention});
    EXPECT_THAT(JobIds(), testing::Not(testing::Contains(id)));
    clock_step_ = absl::ZeroDuration();
  }
}

// After a start with a wrong wall clock the age of older jobs is unknown. Such jobs stay for as
// long as any client repeats a submit.
TEST_F(ArchiveTest, AStartWithAWrongClockArchivesNothingBeforeASubmitIsRepeated) {
  const Retention retention{.age_max = absl::Hours(1), .jobs_max = 100};
  EndedJob("a");
  clock_step_ = absl::Hours(240);
  Restart();
  now_ += absl::Minutes(9);
  EXPECT_FALSE(AnythingToArchive(retention));
  now_ += absl::Minutes(2);
  EXPECT_TRUE(AnythingToArchive(retention));
}

}  // namespace
}  // namespace wattle::core
