// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/overview.h"

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/runtime/testing/runtime_fixture.h"
#include "coordinator/store/journal.h"

namespace wattle::runtime {
namespace {

class EnergyOfTheHistoryTest : public RuntimeFixture {
 protected:
  EnergyOfTheHistoryTest() {
    auto journal = store::Journal::Open(Path("journal.db"));
    EXPECT_THAT(journal, IsOk());
    journal_ = *std::move(journal);
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
    for (const v1::Event& event : decision.events) {
      Take(event);
    }
    return decision.id;
  }
  v1::Event Next() const {
    v1::Event event;
    event.set_sequence(state_.last_sequence.value() + 1);
    event.set_at_unix_seconds(core::ToUnix(now_));
    return event;
  }
  void Take(const v1::Event& event) {
    EXPECT_THAT(journal_->Append({event}), IsOk());
    core::Apply(state_, event, core::kReplayed);
  }
  // Makes a succeeded job whose only attempt spent `gross_energy_joules`.
  void SucceededJob(const std::string& key, double gross_energy_joules) {
    const std::string job = Do(core::SubmitJob{GenerateSpecOf("tiny"), key, {}});
    v1::Event placed = Next();
    placed.mutable_attempt_placed()->set_job_id(job);
    placed.mutable_attempt_placed()->set_attempt_id(job + ".1");
    placed.mutable_attempt_placed()->set_device_id("device-a");
    Take(placed);
    v1::Event finished = Next();
    finished.mutable_attempt_state_changed()->set_attempt_id(job + ".1");
    finished.mutable_attempt_state_changed()->set_state(v1::ATTEMPT_STATE_FINISHED);
    finished.mutable_attempt_state_changed()
        ->mutable_receipt()
        ->mutable_total()
        ->set_gross_energy_joules(gross_energy_joules);
    Take(finished);
    v1::Event ended = Next();
    ended.mutable_job_state_changed()->set_job_id(job);
    ended.mutable_job_state_changed()->set_state(v1::JOB_STATE_SUCCEEDED);
    Take(ended);
  }

  std::unique_ptr<store::Journal> journal_;
  core::State state_;
  absl::Time now_ = absl::Now() - absl::Hours(3);
};

TEST_F(EnergyOfTheHistoryTest, AReportHasItsJobsToo) {
  SucceededJob("old", 150);
  now_ += absl::Hours(2);
  Do(core::ArchiveEnded{{.age_max = absl::Hours(1), .jobs_max = 100}});
  ASSERT_TRUE(state_.jobs.empty());
  SucceededJob("new", 20);
  journal_.reset();

  const auto runtime = StartRuntime();
  const auto overview = Overview::Open(*runtime);
  ASSERT_THAT(overview, IsOk());
  v1::ReportEnergyRequest request;
  request.set_by(v1::ENERGY_GROUPING_JOB);
  const auto report = (*overview)->ReportEnergy(request, core::Scope::All());
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->total().gross_energy_joules(), 170);
  EXPECT_EQ(report->rows_size(), 2);
}

}  // namespace
}  // namespace wattle::runtime
