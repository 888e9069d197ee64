// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of first jobs: boards that never ran anything, whose prediction is too wide to be planned
// on, and what the first steps of an attempt change.
#include "coordinator/core/probing.h"

#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/exploration.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/profiles/probe.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

// Boards of unmeasured classes, and a clock.
class FirstJobsTest : public testing::Test {
 protected:
  FirstJobsTest() {
    Do(CommitArtifact{TinyModel()});
    Do(CommitArtifact{Questions(1'000'000)});
  }

  void AddBoard(const std::string& name) {
    v1::Hello hello;
    hello.set_incarnation(1);
    v1::DeviceInfo& info = *hello.mutable_device();
    info.set_device_id(name);
    info.set_name(name);
    info.set_device_class("board-" + name);
    info.set_memory_bytes(int64_t{8} << 30);
    info.set_engine_version("test");
    info.set_cache_quota_bytes(int64_t{1} << 34);
    info.set_link_bytes_per_second(1e7);
    info.set_time_scale(1);
    info.set_power_mode("15W");
    observations_.devices[DeviceId(name)].connected = true;
    Hear();
    Do(WorkerHello{hello});
  }

  [[nodiscard]] Instant Now() const {
    return {absl::FromUnixSeconds(1'800'000'000) + elapsed_, Monotonic(elapsed_)};
  }
  void Hear() {
    for (auto& [id, device] : observations_.devices) {
      device.last_seen = Now();
    }
  }
  void Advance(absl::Duration time) {
    elapsed_ += time;
    Hear();
  }
  Decision Do(const Command& command) {
    Decision decision = Decide(state_, command, observations_, Now());
    EXPECT_THAT(decision.status, IsOk());
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, Now().monotonic);
      events_.push_back(event);
    }
    return decision;
  }
  static v1::JobSpec Spec(double deadline_seconds = 0) {
    v1::JobSpec spec = Finetune();
    spec.mutable_finetune()->clear_epochs();
    spec.mutable_finetune()->set_steps(kSteps);
    spec.set_deadline_seconds(deadline_seconds);
    return spec;
  }
  v1::Prediction Predicted(const std::string& board) {
    v1::PlanRequest request;
    *request.mutable_spec() = Spec();
    const auto plan = DryRun(state_, observations_, {}, request, Now());
    EXPECT_THAT(plan, IsOk());
    for (const v1::Candidate& candidate : plan->candidates()) {
      if (candidate.device_name() == board) {
        return candidate.prediction();
      }
    }
    return {};
  }
  std::string Submit(double deadline_seconds) {
    return Do(SubmitJob{Spec(deadline_seconds), absl::StrCat("key", ++submitted_)}).id;
  }
  PlanComputed Plan() {
    Hear();
    PlanComputed plan = ComputePlan(MakeSnapshot(state_, observations_, {}, Now()));
    Do(plan);
    return plan;
  }
  template <typename Message>
  void Tell(const std::string& attempt, Message* (v1::Report::*fact)(),
            const std::string& reason = "") {
    const v1::Attempt& of = *FindAttempt(state_, AttemptId(attempt));
    WorkerReport report{DeviceId(of.device_id()), 1, {}};
    report.report.set_sequence(++sequence_[report.device]);
    Message& message = *(report.report.*fact)();
    message.set_attempt_id(attempt);
    message.set_fencing_token(of.fencing_token());
    if constexpr (std::is_same_v<Message, v1::AttemptPaused>) {
      message.set_reason(reason);
    }
    Do(report);
  }
  template <typename Message>
  Message& Fact(const std::string& attempt, Message* fact) {
    fact->set_attempt_id(attempt);
    fact->set_fencing_token(FindAttempt(state_, AttemptId(attempt))->fencing_token());
    return *fact;
  }
  void Send(const std::string& board, v1::Report report) {
    report.set_sequence(++sequence_[DeviceId(board)]);
    Do(WorkerReport{DeviceId(board), 1, std::move(report)});
  }
  void Run(const std::string& attempt) {
    Tell<v1::AttemptAccepted>(attempt, &v1::Report::mutable_accepted);
    Tell<v1::AttemptStarted>(attempt, &v1::Report::mutable_started);
  }
  // The device's heartbeat 20 s later: it needs `step_seconds` for a step.
  void Work(const std::string& attempt, double step_seconds, double watts = 10) {
    Advance(absl::Seconds(20));
    WorkOn(FindAttempt(state_, AttemptId(attempt))->device_id(), attempt, step_seconds, watts);
  }
  void WorkOn(const std::string& board, const std::string& attempt, double step_seconds,
              double watts) {
    v1::Heartbeat& heartbeat = observations_.devices[DeviceId(board)].heartbeat;
    heartbeat.clear_progress();
    v1::AttemptProgress& progress = *heartbeat.add_progress();
    progress.set_attempt_id(attempt);
    const auto steps = static_cast<int64_t>(20 / step_seconds);
    progress.set_step(steps);
    progress.set_steps_total(kSteps);
    progress.set_remaining_seconds(static_cast<double>(kSteps - steps) * step_seconds);
    v1::SteadyWork& steady = *progress.mutable_steady();
    steady.set_seconds(static_cast<double>(steps) * step_seconds);
    steady.set_steps(steps);
    steady.set_tokens(static_cast<int64_t>(TokensOfAStep() * static_cast<double>(steps)));
    steady.set_covered_seconds(steady.seconds());
    steady.set_energy_joules(watts * steady.seconds());
    observations_.progress[AttemptId(attempt)] = progress;
    Do(Tick{});
  }
  double TokensOfAStep() {
    return Predicted(observations_.devices.begin()->first.value()).work_units() / kSteps;
  }
  const v1::Job& Job(const std::string& id) { return FindJob(state_, JobId(id))->job(); }
  const v1::ProfileRow* Probe(const std::string& attempt) {
    return ProbeOf(state_, *FindAttempt(state_, AttemptId(attempt)));
  }
  static double Ratio(const v1::Interval& interval) { return interval.high() / interval.low(); }

  static constexpr int64_t kSteps = 100'000;
  State state_;
  Observations observations_;
  std::vector<v1::Event> events_;

 private:
  absl::Duration elapsed_ = absl::Hours(1);
  int submitted_ = 0;
  std::map<DeviceId, int64_t> sequence_;
};

TEST_F(FirstJobsTest, SubmitDoesNotRefuseForAnIntervalThatAProbeNarrows) {
  AddBoard("new");
  const v1::Prediction first = Predicted("new");
  ASSERT_GT(Ratio(first.run_seconds()), scheduler::kProbeAboveRatio);
  const double mean = first.run_seconds().mean();
  EXPECT_THAT(CheckPossible(state_, observations_, {}, Spec(mean), Now()), IsOk());
  // Not even the lower end fits.
  EXPECT_THAT(
      CheckPossible(state_, observations_, {}, Spec(first.run_seconds().low() / 2), Now()),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("ends at the earliest in")));
}

TEST_F(FirstJobsTest, AJobWithADeadlineStartsAsAProbeAndSaysSo) {
  AddBoard("new");
  const std::string job = Submit(Predicted("new").run_seconds().mean());
  Plan();
  ASSERT_EQ(Job(job).state(), v1::JOB_STATE_ACTIVE);
  const v1::Placement& placement = Job(job).attempts(0).placement();
  EXPECT_TRUE(placement.best(0).probe());
  EXPECT_THAT(placement.reason(), HasSubstr("J tell how long it takes, by now"));
}

// From the heartbeat of the worker to the next plan.
TEST_F(FirstJobsTest, TheFirstStepsNarrowThePredictionAndAreJournalled) {
  AddBoard("new");
  Submit(0);
  Plan();
  Run("j1.1");
  EXPECT_EQ(Predicted("new").provenance(), v1::PROVENANCE_DATASHEET);
  Work("j1.1", /*step_seconds=*/0.5, /*watts=*/7);
  ASSERT_NE(Probe("j1.1"), nullptr);
  EXPECT_EQ(Probe("j1.1")->power_mode(), "15W");
  const v1::Prediction then = Predicted("new");
  EXPECT_EQ(then.provenance(), v1::PROVENANCE_PROBED);
  EXPECT_NEAR(then.run_seconds().mean(), 0.5 * kSteps, 0.001 * kSteps);
  EXPECT_NEAR(then.mean_power_watts(), 7, 1e-9);
  EXPECT_LT(Ratio(then.run_seconds()), 1.4);
  EXPECT_THAT(then.provenance_note(), HasSubstr("the first 20 s of attempt j1.1"));

  const size_t events = events_.size();
  Work("j1.1", 0.6);
  EXPECT_EQ(events_.size(), events) << "an attempt is probed once";

  State replayed;
  for (const v1::Event& event : events_) {
    Apply(replayed, event, kReplayed);
  }
  EXPECT_EQ(SnapshotBytes(replayed), SnapshotBytes(state_));
  const auto restored = ParseSnapshot(SnapshotBytes(state_));
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(SnapshotBytes(*restored), SnapshotBytes(state_));
}

TEST_F(FirstJobsTest, AnAttemptThatDoesNotRunTeachesNothing) {
  AddBoard("new");
  Submit(0);
  Plan();
  Tell<v1::AttemptAccepted>("j1.1", &v1::Report::mutable_accepted);
  Work("j1.1", 0.5);
  EXPECT_EQ(Probe("j1.1"), nullptr);
  Tell<v1::AttemptStarted>("j1.1", &v1::Report::mutable_started);
  Tell<v1::AttemptPaused>("j1.1", &v1::Report::mutable_paused, "too hot");
  Work("j1.1", 0.5);
  EXPECT_EQ(Probe("j1.1"), nullptr);
}

TEST_F(FirstJobsTest, ABoardTellsOfItsOwnAttemptsAlone) {
  AddBoard("new");
  Submit(0);
  Plan();
  Run("j1.1");
  AddBoard("liar");
  WorkOn("liar", "j1.1", 0.5, /*watts=*/10);
  EXPECT_EQ(Probe("j1.1"), nullptr);
}

TEST_F(FirstJobsTest, AJobLeavesTheBoardThatItsProbeFoundTooSlow) {
  AddBoard("new");
  const v1::Interval seconds = Predicted("new").run_seconds();
  const std::string job = Submit(seconds.mean());
  Plan();
  Run("j1.1");
  AddBoard("other");  // Equally unknown.
  Work("j1.1", 3 * seconds.mean() / kSteps);
  Plan();
  EXPECT_TRUE(FindAttempt(state_, AttemptId("j1.1"))->released());
  EXPECT_THAT(FindAttempt(state_, AttemptId("j1.1"))->reason(),
              AllOf(HasSubstr("leaves new"), HasSubstr("its first steps tell of")));
  Tell<v1::AttemptStopped>("j1.1", &v1::Report::mutable_stopped);
  Plan();
  ASSERT_EQ(Job(job).attempts_size(), 2);
  EXPECT_EQ(Job(job).attempts(1).device_id(), "other");
}

TEST_F(FirstJobsTest, AJobStaysWhereItsProbeSaysThatItEndsInTime) {
  AddBoard("new");
  const v1::Interval seconds = Predicted("new").run_seconds();
  Submit(seconds.mean());
  Plan();
  Run("j1.1");
  AddBoard("other");
  Work("j1.1", 0.5 * seconds.mean() / kSteps);
  Plan();
  EXPECT_FALSE(FindAttempt(state_, AttemptId("j1.1"))->released());
}

TEST_F(FirstJobsTest, WithoutAnotherBoardTheJobFailsWithWhatWasMeasured) {
  AddBoard("new");
  const v1::Interval seconds = Predicted("new").run_seconds();
  const std::string job = Submit(seconds.mean());
  Plan();
  Run("j1.1");
  Work("j1.1", 3 * seconds.mean() / kSteps);
  Plan();
  EXPECT_TRUE(FindAttempt(state_, AttemptId("j1.1"))->released());
  Tell<v1::AttemptStopped>("j1.1", &v1::Report::mutable_stopped);
  Plan();
  Advance(observations_.impossible_grace + absl::Seconds(1));
  Do(Tick{});
  EXPECT_EQ(Job(job).state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(Job(job).reason(), HasSubstr("as its first steps there told"));
}

// The draw of a probe until its first steps are known is bounded by the day of its board. A probe
// whose job stays is the job's beginning.
TEST_F(FirstJobsTest, ProbesDrawOnTheDayOfTheirBoard) {
  AddBoard("new");
  const v1::Prediction first = Predicted("new");
  const double demand = scheduler::ProbeDemand(first).value();
  const double mean = first.run_seconds().mean();
  v1::Policy policy;
  policy.set_name("field");
  // 4 W are assumed for a board with unknown idle draw.
  policy.set_exploration_ratio(1.5 * demand / (4 * 86400));
  Do(ApplyPolicy{policy});
  const auto explored = [&] {
    const v1::Device device = DescribeDevice(state_, observations_, DeviceId("new"), Now());
    return 1.5 - ExplorationOf(state_, device, Now().wall).left.value() / demand;
  };
  Submit(mean);
  Plan();
  ASSERT_TRUE(Job("j1").attempts(0).placement().best(0).probe());
  EXPECT_NEAR(explored(), 1, 1e-9) << "it has told nothing yet";
  Run("j1.1");
  Work("j1.1", 0.5 * mean / kSteps);
  ASSERT_NE(Probe("j1.1"), nullptr);
  EXPECT_NEAR(explored(), 0, 1e-9) << "its job stays";
  v1::Report report;
  v1::AttemptFailed& failed = Fact("j1.1", report.mutable_failed());
  failed.set_failure_class(v1::FAILURE_CLASS_DEVICE);
  failed.mutable_receipt()->mutable_total()->set_gross_energy_joules(9 * demand);
  Send("new", report);
  EXPECT_NEAR(explored(), 0, 1e-9) << "it told, and was lost by another fault";
}

TEST_F(FirstJobsTest, ProbesThatWereThrownAwayLeaveLessForTheNext) {
  AddBoard("new");
  const v1::Prediction first = Predicted("new");
  const double demand = scheduler::ProbeDemand(first).value();
  v1::Policy policy;
  policy.set_name("field");
  policy.set_exploration_ratio(1.5 * demand / (4 * 86400));
  Do(ApplyPolicy{policy});
  v1::JobSpec spec = Spec(first.run_seconds().mean());
  spec.set_retries(0);
  Do(SubmitJob{spec, "cut off"});
  Plan();
  Run("j1.1");
  v1::Report report;
  v1::AttemptFailed& failed = Fact("j1.1", report.mutable_failed());
  failed.set_failure_class(v1::FAILURE_CLASS_JOB);
  failed.set_message("cut off");
  failed.mutable_receipt()->mutable_total()->set_gross_energy_joules(0.8 * demand);
  Send("new", report);
  ASSERT_EQ(Job("j1").state(), v1::JOB_STATE_FAILED) << Job("j1").reason();

  EXPECT_THAT(CheckPossible(state_, observations_, {}, spec, Now()), IsOk()) << "submit takes it";
  Do(SubmitJob{spec, "next"});
  const PlanComputed plan = Plan();
  ASSERT_EQ(plan.jobs.size(), 1U);
  EXPECT_EQ(Job("j2").attempts_size(), 0);
  EXPECT_THAT(WhyNotNow(state_, plan.jobs[0]),
              AnyOf(HasSubstr("exploring may draw"), HasSubstr("has explored enough")));
  // The next day has a share of its own.
  Advance(absl::Hours(24));
  Do(SubmitJob{spec, "next day"});
  Plan();
  EXPECT_EQ(Job("j3").attempts_size(), 1) << Job("j3").reason();
}

// A plan may mean a probe for the next day, and sends it to the board today, where it counts.
TEST_F(FirstJobsTest, TheProbesOfAPlanFitIntoTheDayTogether) {
  AddBoard("new");
  scheduler::QueuePlacement probe;
  probe.prediction = Predicted("new");
  probe.placement.set_device_id("new");
  scheduler::QueuePlacement measured = probe;
  measured.placement.add_best();
  probe.placement.add_best()->set_probe(true);
  v1::Policy policy;
  policy.set_name("field");
  policy.set_exploration_ratio(1.5 * scheduler::ProbeDemand(probe.prediction).value() /
                               (4 * 86400));
  Do(ApplyPolicy{policy});
  const Instant now = Now();
  PlannedExploring exploring(state_, observations_, now);
  EXPECT_TRUE(exploring.Fits(Spec(), probe));
  EXPECT_FALSE(exploring.Fits(Spec(), probe)) << "two are more than the day's share";
  EXPECT_TRUE(exploring.Fits(Spec(), measured));
  EXPECT_TRUE(PlannedExploring(state_, observations_, now).Fits(Spec(), probe));
  v1::JobSpec profile;
  *profile.mutable_profile()->mutable_finetune() = Finetune().finetune();
  measured.profile_demand = Joules(probe.prediction.run_energy_joules().mean());
  EXPECT_FALSE(PlannedExploring(state_, observations_, now).Fits(profile, measured))
      << "a whole run draws more than a probe";
  profile.set_energy_budget_wh(1);
  EXPECT_TRUE(PlannedExploring(state_, observations_, now).Fits(profile, measured));
}

// The measured board is sure to end in time. The new one would be cheaper, if its guess held.
TEST_F(FirstJobsTest, ABoardThatIsSureComesBeforeAProbe) {
  AddBoard("sure");
  const v1::Interval seconds = Predicted("sure").run_seconds();
  Submit(0);
  Plan();
  Run("j1.1");
  Work("j1.1", 0.5 * seconds.mean() / kSteps, /*watts=*/60);
  Do(CancelJob{JobId("j1"), "tried"});
  Tell<v1::AttemptStopped>("j1.1", &v1::Report::mutable_stopped);
  AddBoard("new");
  const std::string job = Submit(seconds.mean());
  Plan();
  ASSERT_EQ(Job(job).state(), v1::JOB_STATE_ACTIVE) << Job(job).reason();
  EXPECT_EQ(Job(job).attempts(0).device_id(), "sure");
  EXPECT_FALSE(Job(job).attempts(0).placement().best(0).probe());
}

}  // namespace
}  // namespace wattle::core
