// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Profile jobs from their submission to their end, on a board with two power modes whose law the
// test knows.
#include "coordinator/core/profiling.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/energy_budget.h"
#include "coordinator/core/exploration.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/spec_for_test.h"
#include "coordinator/core/state.h"
#include "proto/job_kind.h"
#include "proto/peak_memory.h"
#include "scheduler/predict/work.h"
#include "scheduler/profile_run/choose_point.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::UnorderedElementsAre;

constexpr char kBoard[] = "orin";

v1::JobSpec Profile(const std::vector<int>& batches = {2, 4}) {
  v1::JobSpec spec;
  spec.add_required_labels("device=orin");
  v1::ProfileSpec& profile = *spec.mutable_profile();
  *profile.mutable_finetune() = Finetune().finetune();
  profile.set_all_power_modes(true);
  profile.mutable_batch_sizes()->Assign(batches.begin(), batches.end());
  spec.set_energy_budget_wh(10);
  return spec;
}

class ProfilingTest : public testing::Test {
 protected:
  ProfilingTest() {
    Do(CommitArtifact{TinyModel()});
    Do(CommitArtifact{Questions(1'000'000)});
    Connect();
  }

  // The board tells what it is, also after a restart of the coordinator.
  void Connect() {
    v1::Hello hello;
    hello.set_incarnation(1);
    v1::DeviceInfo& info = *hello.mutable_device();
    info.set_device_id(kBoard);
    info.set_name(kBoard);
    info.set_device_class(is_jetson_ ? "jetson-orin-nano" : "board-of-nobody");
    info.set_accelerator(is_jetson_ ? "cuda" : "");
    info.set_offers_cpu(is_jetson_);
    info.set_memory_bytes(int64_t{8} << 30);
    info.set_engine_version("test");
    info.set_spec_revision(1);
    info.set_cache_quota_bytes(int64_t{1} << 34);
    info.set_time_scale(1);
    info.set_idle_power_watts(2);
    info.set_sets_power_modes(true);
    for (const auto& [name, watts, mhz] : {std::tuple{"10W", 10, 1000}, {"15W", 15, 1500}}) {
      v1::PowerMode& mode = *info.add_power_modes();
      mode.set_name(name);
      mode.set_nominal_power_watts(watts);
      mode.set_cpu_mhz(mhz);
      mode.set_cores(4);
    }
    info.set_power_mode("15W");
    v1::Label& label = *info.add_labels();
    label.set_key("device");
    label.set_value(kBoard);
    DeviceObservation& board = observations_.devices[DeviceId(kBoard)];
    board.connected = true;
    board.heartbeat.set_has_power(true);
    Hear();
    Do(WorkerHello{hello});
  }
  // As the board's own, with another id.
  [[nodiscard]] v1::Hello HelloOfBoard(const std::string& device_id) const {
    v1::Hello hello;
    hello.set_incarnation(2);
    *hello.mutable_device() = state_.devices.at(DeviceId(kBoard)).info();
    hello.mutable_device()->set_device_id(device_id);
    return hello;
  }
  void Hear() { observations_.devices[DeviceId(kBoard)].last_seen = Now(); }

  [[nodiscard]] Instant Now() const {
    return {absl::FromUnixSeconds(1'800'000'000) + elapsed_, Monotonic(elapsed_)};
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
  void Submit(const v1::JobSpec& spec) {
    Do(SubmitJob{spec, absl::StrCat("key", state_.next_job_number)});
  }
  PlanComputed Plan() {
    elapsed_ += absl::Seconds(1);
    Hear();
    PlanComputed plan = ComputePlan(MakeSnapshot(state_, observations_, inputs_, Now()));
    Do(plan);
    return plan;
  }
  [[nodiscard]] const v1::Job& job(const std::string& id = "j1") const {
    return FindJob(state_, JobId(id))->job();
  }
  [[nodiscard]] const v1::Attempt& last() const { return *job().attempts().rbegin(); }

  template <typename Message>
  Message& Tell(v1::Report& report, Message* (v1::Report::*fact)()) {
    Message& message = *(report.*fact)();
    message.set_attempt_id(last().attempt_id());
    message.set_fencing_token(last().fencing_token());
    return message;
  }
  void Send(v1::Report report) {
    report.set_sequence(++sequence_);
    Do(WorkerReport{DeviceId(kBoard), 1, std::move(report)});
  }
  void Begin() {
    v1::Report accepted;
    Tell(accepted, &v1::Report::mutable_accepted);
    Send(accepted);
    v1::Report started;
    Tell(started, &v1::Report::mutable_started);
    Send(started);
  }
  // The receipt of the assigned run, by the board's law.
  v1::Receipt ReceiptOf(const v1::Attempt& attempt) {
    const v1::DesiredSet desired = DesiredFor(state_, DeviceId(kBoard));
    EXPECT_EQ(desired.assignments_size(), 1);
    const v1::JobSpec& spec = desired.assignments(0).spec();
    std::vector<scheduler::InputView> views;
    for (const v1::ResolvedInput& input : desired.assignments(0).inputs()) {
      views.push_back({input.field(), state_.artifacts.at(ArtifactId(input.artifact_id()))});
    }
    const scheduler::WorkAmount work = scheduler::WorkOf(spec, views, state_.profiles).value();
    const bool fast = attempt.power_mode() == "15W";
    const double seconds = seconds_per_unit_ * work.units * (fast ? 1.0 : 1.4) *
                           (1 + 1.0 / work.signature.batch_size());
    v1::Receipt receipt;
    receipt.set_power_mode(attempt.power_mode());
    for (v1::EnergyMeasurement* of : {receipt.mutable_run(), receipt.mutable_total()}) {
      of->set_seconds(seconds);
      of->set_mean_power_watts(fast ? 13 : 8);
      of->set_gross_energy_joules(seconds * (fast ? 13 : 8));
      of->set_coverage_ratio(1);
      of->set_source(v1::ENERGY_SOURCE_INA3221);
    }
    v1::WorkDone& done = *receipt.mutable_work();
    *done.mutable_signature() = work.signature;
    done.set_unit(work.unit);
    done.set_units(work.units);
    done.set_tokens(static_cast<int64_t>(work.units));
    done.set_examples(static_cast<int64_t>(work.examples));
    done.set_steps(static_cast<int64_t>(work.steps));
    return receipt;
  }
  void Finish() {
    Begin();
    v1::Report report;
    v1::AttemptFinished& finished = Tell(report, &v1::Report::mutable_finished);
    *finished.mutable_receipt() = ReceiptOf(last());
    Send(report);
  }
  void Fail(v1::FailureClass failure_class, const std::string& message) {
    Begin();
    v1::Report report;
    v1::AttemptFailed& failed = Tell(report, &v1::Report::mutable_failed);
    failed.set_failure_class(failure_class);
    failed.set_message(message);
    Send(report);
  }
  // Plans and finishes runs until the job has ended.
  void RunToTheEnd() {
    for (int i = 0; i < 50 && !IsTerminal(job().state()); ++i) {
      Plan();
      if (job().state() == v1::JOB_STATE_ACTIVE) {
        Finish();
      }
    }
  }
  [[nodiscard]] std::vector<std::string> Points() const {
    std::vector<std::string> points;
    for (const v1::Attempt& attempt : job().attempts()) {
      points.push_back(scheduler::PointWords(attempt.profile_point()));
    }
    return points;
  }
  // Modes and batches of the device's own measured rows.
  [[nodiscard]] std::vector<std::string> MeasuredRows() const {
    std::vector<std::string> rows;
    for (const v1::ProfileRow& row : state_.profiles.Rows()) {
      if (row.source() == v1::PROFILE_SOURCE_MEASURED && !row.device_id().empty()) {
        rows.push_back(absl::StrCat(row.power_mode(), ", batch ", row.signature().batch_size()));
      }
    }
    return rows;
  }

  double seconds_per_unit_ = 1e-3;
  bool is_jetson_ = false;  // With a GPU, and cores beside it.
  State state_;
  Observations observations_;
  PlanningInputs inputs_;
  std::vector<v1::Event> events_;
  absl::Duration elapsed_ = absl::Hours(1);
  int64_t sequence_ = 0;
};

TEST_F(ProfilingTest, ARunIsAShortJobOfTheWorkloadInTheModeOfItsPoint) {
  v1::JobSpec spec = Profile();
  spec.mutable_profile()->mutable_finetune()->set_checkpoint_every_steps(2);
  Submit(spec);
  Plan();
  ASSERT_EQ(job().state(), v1::JOB_STATE_ACTIVE) << job().reason();
  const v1::ProfilePoint& point = last().profile_point();
  EXPECT_EQ(last().power_mode(), point.power_mode());
  EXPECT_GT(point.gain_percent(), 1);
  EXPECT_GE(point.steps(), 4);
  const v1::Assignment assignment = DesiredFor(state_, DeviceId(kBoard)).assignments(0);
  EXPECT_EQ(assignment.profile_point().SerializeAsString(), point.SerializeAsString());
  EXPECT_EQ(assignment.power_mode(), point.power_mode());
  EXPECT_EQ(assignment.spec().finetune().batch_size(), point.batch_size());
  EXPECT_EQ(assignment.spec().finetune().steps(), point.steps());
  EXPECT_EQ(assignment.spec().finetune().checkpoint_every_steps(), 0);
  EXPECT_EQ(assignment.spec().finetune().model(), "tiny");
  EXPECT_EQ(assignment.inputs_size(), 2);
}

TEST_F(ProfilingTest, RunsGoOnUntilTheNextOneWouldTellTooLittle) {
  Submit(Profile());
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(job().reason(), HasSubstr("measured in"));
  EXPECT_THAT(job().output_artifact_id(), IsEmpty());
  const std::vector<std::string> points = Points();
  EXPECT_GE(points.size(), 3U);
  EXPECT_THAT(MeasuredRows(), testing::UnorderedElementsAreArray(points))
      << "each run is a measured row of the workload";
  EXPECT_EQ(std::set<std::string>(points.begin(), points.end()).size(), points.size());
  double joules = 0;
  for (const v1::Attempt& attempt : job().attempts()) {
    EXPECT_EQ(attempt.receipt().profile_point().SerializeAsString(),
              attempt.profile_point().SerializeAsString());
    EXPECT_TRUE(attempt.receipt().has_row_move());
    joules += attempt.receipt().total().gross_energy_joules();
  }
  EXPECT_DOUBLE_EQ(SpentEnergy(job()).value(), joules);
}

TEST_F(ProfilingTest, WhatIsMeasuredAlreadyIsNotRunAgain) {
  Submit(Profile());
  RunToTheEnd();
  Submit(Profile());
  Plan();
  EXPECT_EQ(job("j2").state(), v1::JOB_STATE_SUCCEEDED) << job("j2").reason();
  EXPECT_EQ(job("j2").attempts_size(), 0);
}

TEST_F(ProfilingTest, TheGainThatIsWantedEndsTheJob) {
  v1::JobSpec spec = Profile();
  spec.mutable_profile()->set_gain_percent_min(50);
  Submit(spec);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(job().reason(), HasSubstr("would narrow what is known by"));
  EXPECT_LT(job().attempts_size(), 4);
  for (const v1::Attempt& attempt : job().attempts()) {
    EXPECT_GE(attempt.profile_point().gain_percent(), 50);
  }
}

// The first prediction of a board may be a hundred times too slow, and its run then tells little.
TEST_F(ProfilingTest, ARunThatWasFarTooShortIsMadeOnceMoreWithTheStepsThatItWants) {
  Submit(Profile({4}));
  Plan();
  const double predicted = last().prediction().seconds_per_unit();
  seconds_per_unit_ = predicted / 100;
  Finish();
  Plan();
  ASSERT_EQ(job().attempts_size(), 2) << job().reason();
  const v1::ProfilePoint& first = job().attempts(0).profile_point();
  const v1::ProfilePoint& again = job().attempts(1).profile_point();
  EXPECT_EQ(scheduler::PointWords(again), scheduler::PointWords(first));
  EXPECT_GT(again.steps(), 20 * first.steps());
  EXPECT_EQ(again.gain_percent(), 0);
  Finish();
  EXPECT_NEAR(last().receipt().run().seconds(), 20, 2);
  Plan();
  ASSERT_EQ(job().attempts_size(), 3) << job().reason();
  EXPECT_NE(scheduler::PointWords(job().attempts(2).profile_point()), scheduler::PointWords(first));
}

TEST_F(ProfilingTest, RunsMaxEndsTheJob) {
  v1::JobSpec spec = Profile();
  spec.mutable_profile()->set_runs_max(2);
  Submit(spec);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job().attempts_size(), 2);
  EXPECT_THAT(job().reason(), HasSubstr("its runs_max of 2 is reached"));
}

TEST_F(ProfilingTest, TheBudgetEndsTheJobBeforeTheRunThatWouldBreakIt) {
  Submit(Profile());
  RunToTheEnd();
  const double first = job().attempts(0).receipt().total().gross_energy_joules();
  const double all = SpentEnergy(job()).value();
  ASSERT_GT(job().attempts_size(), 2);
  state_ = State();
  events_.clear();
  sequence_ = 0;
  Do(CommitArtifact{TinyModel()});
  Do(CommitArtifact{Questions(1'000'000)});
  Connect();
  v1::JobSpec spec = Profile();
  spec.set_energy_budget_wh((first + 0.6 * (all - first)) / 3600);
  Submit(spec);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED) << job().reason();
  EXPECT_THAT(job().reason(), HasSubstr("of its energy budget of"));
  EXPECT_GE(job().attempts_size(), 1);
  EXPECT_LE(SpentEnergy(job()).value(), 3600 * spec.energy_budget_wh());
}

// Without a budget of its own a job has what the policies leave for exploring.
TEST_F(ProfilingTest, TheDeviceExploresForAShareOfTheJoulesOfItsDay) {
  v1::JobSpec spec = Profile();
  spec.clear_energy_budget_wh();
  v1::Policy policy;
  policy.set_name("field");
  policy.set_exploration_ratio(0);
  Do(ApplyPolicy{policy});
  Submit(spec);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_FAILED) << "nothing was measured";
  EXPECT_THAT(job().reason(), AllOf(HasSubstr("exploring may draw 0.0 J more of orin today"),
                                    HasSubstr("energy_budget_wh")));
  EXPECT_EQ(job().attempts_size(), 0);
  Do(DeletePolicy{"field"});
  const auto left = [&] {
    const v1::Device device = DescribeDevice(state_, observations_, DeviceId(kBoard), Now());
    return ExplorationOf(state_, device, Now().wall).left.value();
  };
  // 2 W of idle draw.
  EXPECT_DOUBLE_EQ(left(), 0.02 * 2 * 86400);

  // Yesterday's work drew 50 kJ in an hour, and today's counts for tomorrow.
  const auto worked = [&](double joules, double hours_ago) {
    v1::Job& of = *state_.jobs.Mutable(1).mutable_job();
    *of.mutable_spec() = Finetune();
    v1::Attempt& attempt = *of.add_attempts();
    attempt.set_device_id(kBoard);
    attempt.set_state(v1::ATTEMPT_STATE_FINISHED);
    attempt.set_finished_unix_seconds(ToUnix(Now().wall) - 3600 * hours_ago);
    attempt.mutable_receipt()->mutable_total()->set_gross_energy_joules(joules);
    attempt.mutable_receipt()->mutable_total()->set_seconds(3600);
  };
  worked(50'000, 24);
  worked(70'000, 0);
  const double share = 50'000 + 2.0 * (86400 - 3600);
  EXPECT_DOUBLE_EQ(left(), 0.02 * share);
  policy.set_exploration_ratio(0.1);
  Do(ApplyPolicy{policy});
  EXPECT_DOUBLE_EQ(left(), 0.1 * share);
  Do(DeletePolicy{"field"});

  Submit(spec);  // j2
  Plan();
  ASSERT_EQ(job("j2").attempts_size(), 1) << job("j2").reason();
  v1::Attempt& run = *state_.jobs.Mutable(2).mutable_job()->mutable_attempts(0);
  run.set_state(v1::ATTEMPT_STATE_FINISHED);
  run.set_finished_unix_seconds(ToUnix(Now().wall));
  run.mutable_receipt()->mutable_total()->set_gross_energy_joules(700);
  EXPECT_DOUBLE_EQ(left(), 0.02 * share - 700);
  state_.jobs.Mutable(2).mutable_job()->mutable_spec()->set_energy_budget_wh(1);
  EXPECT_DOUBLE_EQ(left(), 0.02 * share) << "a person has decided on that job's joules";
}

// Its record before is of another device, which the fleet has until somebody removes it.
TEST_F(ProfilingTest, ABoardWithANewCardIsMeasuredAsWhatItIsNow) {
  v1::Hello before = HelloOfBoard("before");
  before.mutable_device()->mutable_power_modes(0)->set_name("7W");
  before.mutable_device()->mutable_power_modes(1)->set_name("20W");
  before.mutable_device()->set_power_mode("20W");
  Do(WorkerHello{before});
  Submit(Profile());
  Plan();
  ASSERT_EQ(job().attempts_size(), 1) << job().reason();
  EXPECT_EQ(last().device_id(), kBoard);
  EXPECT_THAT(last().profile_point().power_mode(), AnyOf("10W", "15W"));
}

TEST_F(ProfilingTest, OfTwoBoardsOfOneNameTheOneThatRegisteredLastIsMeasured) {
  elapsed_ += absl::Minutes(1);
  const DeviceId later("z-later");
  Do(WorkerHello{HelloOfBoard(later.value())});
  observations_.devices[later] = observations_.devices[DeviceId(kBoard)];
  observations_.devices[later].last_seen = Now();
  Submit(Profile());
  Plan();
  ASSERT_EQ(job().attempts_size(), 1) << job().reason();
  EXPECT_EQ(last().device_id(), later.value());
}

// A first prediction may be a thousand times too fast.
TEST_F(ProfilingTest, ARunIsStoppedOnceItDrewWhatExploringMay) {
  v1::JobSpec spec = Profile();
  spec.clear_energy_budget_wh();
  Submit(spec);
  Plan();
  ASSERT_EQ(job().attempts_size(), 1) << job().reason();
  Begin();
  const double share = 0.02 * 2 * 86400;  // 2 W of idle draw.
  observations_.progress[AttemptId("j1.1")].set_energy_joules(0.99 * share);
  Do(Tick{});
  EXPECT_EQ(job().state(), v1::JOB_STATE_ACTIVE);
  observations_.progress[AttemptId("j1.1")].set_energy_joules(1.01 * share);
  Do(Tick{});
  EXPECT_EQ(job().state(), v1::JOB_STATE_FAILED) << "nothing was measured";
  EXPECT_THAT(job().reason(),
              HasSubstr("its run drew 3490.6 J, and exploring may draw 3456.0 J of orin "
                        "today; submit again with an energy_budget_wh"));
  EXPECT_THAT(MeasuredRows(), IsEmpty());
}

TEST_F(ProfilingTest, AFailedPointIsToldAndNotTriedAgain) {
  Submit(Profile());
  Plan();
  const std::string first = Points()[0];
  Fail(v1::FAILURE_CLASS_DEVICE, "out of memory");
  EXPECT_EQ(job().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job().reason(), absl::StrCat(first, " failed and is not tried again: out of memory"));
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(job().reason(),
              HasSubstr(absl::StrCat("failed and not tried again: ", first, " (out of memory)")));
  const std::vector<std::string> points = Points();
  EXPECT_EQ(std::count(points.begin(), points.end(), first), 1);
}

TEST_F(ProfilingTest, AJobWhoseRunsAllFailFails) {
  Submit(Profile({4}));
  for (int i = 0; i < 5 && !IsTerminal(job().state()); ++i) {
    Plan();
    if (job().state() == v1::JOB_STATE_ACTIVE) {
      Fail(v1::FAILURE_CLASS_POWER, "the guard stopped it");
    }
  }
  EXPECT_EQ(job().state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job().attempts_size(), 2) << "one run in each mode";
  EXPECT_THAT(job().reason(), HasSubstr("the guard stopped it"));
}

// The time limit of a run is the point's failure too.
TEST_F(ProfilingTest, ARunBeyondItsTimeLimitIsAFailedPoint) {
  v1::JobSpec spec = Profile({4});
  spec.set_timeout_seconds(30);
  Submit(spec);
  Plan();
  Begin();
  observations_.progress[AttemptId("j1.1")].set_elapsed_seconds(31);
  elapsed_ += absl::Hours(2);
  Hear();
  Do(Tick{});
  EXPECT_EQ(job().state(), v1::JOB_STATE_QUEUED);
  EXPECT_THAT(job().reason(), HasSubstr("failed and is not tried again"));
}

// A run that does not fit is no reason to call the whole job impossible.
TEST_F(ProfilingTest, ABusyDeviceDoesNotMakeTheJobImpossible) {
  Submit(Profile({4, 2}));
  Plan();
  Finish();
  inputs_.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                               const scheduler::DataMemory&) {
    return PeakMemory{.cores_bytes = int64_t{1} << (spec.finetune().batch_size() > 2 ? 40 : 20)};
  };
  v1::JobSpec first = Finetune();
  first.set_priority(100);
  first.mutable_finetune()->set_batch_size(2);
  Submit(first);
  for (int i = 0; i < 3; ++i) {
    const PlanComputed plan = Plan();
    EXPECT_FALSE(state_.jobs.at(1).impossible()) << job().reason();
    const auto waiting = std::find_if(plan.jobs.begin(), plan.jobs.end(),
                                      [](const auto& each) { return each.job == JobId("j1"); });
    ASSERT_NE(waiting, plan.jobs.end());
    EXPECT_TRUE(waiting->placement.wait() || waiting->profile_end.has_value());
  }
  EXPECT_EQ(job("j2").state(), v1::JOB_STATE_ACTIVE);
}

TEST_F(ProfilingTest, AFaultOfTheSpecFailsTheJob) {
  Submit(Profile());
  Plan();
  Fail(v1::FAILURE_CLASS_DATA, "not a SQuAD file");
  EXPECT_EQ(job().state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(job().reason(), HasSubstr("not a SQuAD file"));
}

TEST_F(ProfilingTest, AStoppedRunIsMadeAgain) {
  Submit(Profile({4}));
  Plan();
  Begin();
  const std::string first = Points()[0];
  v1::Report report;
  Tell(report, &v1::Report::mutable_stopped);
  Send(report);
  EXPECT_EQ(job().state(), v1::JOB_STATE_QUEUED);
  elapsed_ += absl::Minutes(1);
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED) << job().reason();
  const std::vector<std::string> points = Points();
  EXPECT_EQ(std::count(points.begin(), points.end(), first), 2);
}

TEST_F(ProfilingTest, ACancelledJobMakesNoFurtherRun) {
  Submit(Profile());
  Plan();
  Finish();
  Do(CancelJob{JobId("j1"), ""});
  Plan();
  EXPECT_EQ(job().state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(job().attempts_size(), 1);
}

// The events alone make the state, and the restarted coordinator goes on with the same run.
TEST_F(ProfilingTest, AReplayedJournalGoesOnWithTheSameRun) {
  Submit(Profile());
  Plan();
  Finish();
  State replayed;
  for (const v1::Event& event : events_) {
    Apply(replayed, event, kReplayed);
  }
  EXPECT_EQ(SnapshotBytes(replayed), SnapshotBytes(state_));
  const auto next = [&](const State& state) {
    const PlanComputed plan = ComputePlan(MakeSnapshot(state, observations_, inputs_, Now()));
    EXPECT_EQ(plan.jobs.size(), 1U);
    return plan.jobs[0].profile_point.value_or(v1::ProfilePoint()).SerializeAsString();
  };
  EXPECT_NE(next(state_), "");
  EXPECT_EQ(next(replayed), next(state_));
  const absl::StatusOr<State> parsed = ParseSnapshot(SnapshotBytes(state_));
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(next(*parsed), next(state_));
}

// A plan that was computed before the latest run ended does not end the job.
TEST_F(ProfilingTest, AnOldPlanEndsNothing) {
  v1::JobSpec spec = Profile();
  spec.mutable_profile()->set_runs_max(1);
  Submit(spec);
  Plan();
  Finish();
  const PlanComputed old = ComputePlan(MakeSnapshot(state_, observations_, inputs_, Now()));
  ASSERT_TRUE(old.jobs[0].profile_end.has_value());
  PlanComputed stale = old;
  stale.computed_on = SequenceNumber(1);
  Do(stale);
  EXPECT_EQ(job().state(), v1::JOB_STATE_QUEUED);
  Do(old);
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(ProfilingTest, ABatchThatDoesNotFitIsLeftOutAndTold) {
  inputs_.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                               const scheduler::DataMemory&) {
    return PeakMemory{.cores_bytes = int64_t{1} << (spec.finetune().batch_size() > 2 ? 40 : 20)};
  };
  Submit(Profile());
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED) << job().reason();
  EXPECT_THAT(job().reason(), HasSubstr("too large for its memory: batch 4"));
  for (const v1::Attempt& attempt : job().attempts()) {
    EXPECT_EQ(attempt.profile_point().batch_size(), 2);
  }
}

// 7 GiB fit into the 7.6 GiB that are usable, and not with what CUDA takes of them.
TEST_F(ProfilingTest, ABatchThatFitsTheCoresAndNotTheGpuIsLeftToTheCores) {
  is_jetson_ = true;
  Connect();
  inputs_.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                               const scheduler::DataMemory&) {
    return PeakMemory{.cores_bytes = int64_t{spec.finetune().batch_size() > 2 ? 7 : 1} << 30};
  };
  Submit(Profile());
  RunToTheEnd();
  EXPECT_EQ(job().state(), v1::JOB_STATE_SUCCEEDED) << job().reason();
  EXPECT_THAT(job().reason(), HasSubstr("too large for its memory: batch 4"));
  v1::PlanRequest request;
  *request.mutable_spec() = Profile({4});
  const auto gpu = DryRun(state_, observations_, inputs_, request, Now());
  ASSERT_THAT(gpu, IsOk());
  EXPECT_EQ(gpu->chosen_device_id(), "");
  request.mutable_spec()->set_accelerator(v1::ACCELERATOR_CPU);
  const auto cores = DryRun(state_, observations_, inputs_, request, Now());
  ASSERT_THAT(cores, IsOk());
  EXPECT_EQ(cores->chosen_device_id(), kBoard) << cores->reason();
  EXPECT_TRUE(cores->candidates(0).on_cpu());
}

TEST_F(ProfilingTest, APlanTellsTheFirstRunAndWhatAllRunsTake) {
  v1::PlanRequest request;
  *request.mutable_spec() = Profile();
  const auto plan = DryRun(state_, observations_, inputs_, request, Now());
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->chosen_device_id(), kBoard) << plan->reason();
  EXPECT_GT(plan->candidates(0).prediction().run_seconds().mean(), 0);
  EXPECT_GT(plan->candidates(0).prediction().run_energy_joules().mean(), 0);
  EXPECT_EQ(plan->candidates(0).prediction().upload_bytes(), 0) << "nothing is kept";
  EXPECT_EQ(plan->candidates(0).prediction().checkpoint_seconds(), 0);
  EXPECT_THAT(plan->reason(), HasSubstr("one run for each of 4 points takes together about"));
  request.mutable_spec()->set_energy_budget_wh(1e-6);
  const auto poor = DryRun(state_, observations_, inputs_, request, Now());
  ASSERT_THAT(poor, IsOk());
  EXPECT_THAT(poor->reason(), HasSubstr("of its energy budget of"));
  EXPECT_THAT(CheckPossible(state_, {}, inputs_, request.spec(), Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("energy budget")));
}

TEST_F(ProfilingTest, AnUnknownDeviceIsRefusedByItsLabel) {
  v1::JobSpec spec = Profile();
  spec.set_required_labels(0, "device=nobody");
  EXPECT_THAT(CheckPossible(state_, {}, inputs_, spec, Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("device=nobody")));
}

TEST_F(ProfilingTest, AWorkerThatKnowsNoProfileJobsIsRefused) {
  v1::Hello hello;
  hello.set_incarnation(1);
  *hello.mutable_device() = FindDevice(state_, DeviceId(kBoard))->info();
  hello.mutable_device()->set_spec_revision(0);
  Do(WorkerHello{hello});
  EXPECT_THAT(
      CheckPossible(state_, {}, inputs_, Profile(), Now()),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("too old to know profile")));
}

TEST(CheckProfileTest, RefusalsNameTheFieldAndTheRemedy) {
  const auto refused = [](const std::function<void(v1::JobSpec&)>& change) {
    v1::JobSpec spec = Profile();
    change(spec);
    const absl::Status status = ValidateSpec(spec, /*files_needed=*/true);
    return std::string(status.message());
  };
  EXPECT_EQ(refused([](v1::JobSpec&) {}), "");
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.mutable_profile()->clear_finetune(); }),
            "profile: no workload; write a section finetune, generate or evaluate in it");
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.clear_required_labels(); }),
            "required_labels: a profile job measures one device; name it once, as [device=NAME]");
  EXPECT_THAT(refused([](v1::JobSpec& spec) { spec.add_required_labels("device=other"); }),
              StartsWith("required_labels: "));
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.mutable_profile()->add_batch_sizes(0); }),
            "profile.batch_sizes: 0: want 1 to 1024");
  EXPECT_EQ(refused([](v1::JobSpec& spec) {
              for (int i = 0; i < 8; ++i) {
                spec.mutable_profile()->add_batch_sizes(1);
              }
            }),
            "profile.batch_sizes: 10 entries: want at most 8");
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.mutable_profile()->set_run_seconds(0.5); }),
            "profile.run_seconds: 0.5: want at least 1, or leave it out");
  EXPECT_THAT(refused([](v1::JobSpec& spec) { spec.mutable_profile()->set_runs_max(101); }),
              HasSubstr("profile.runs_max: 101: want 0 to 100"));
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.mutable_profile()->set_gain_percent_min(0.01); }),
            "profile.gain_percent_min: 0.01: want at least 0.1, or leave it out");
  EXPECT_THAT(
      refused([](v1::JobSpec& spec) { spec.mutable_profile()->mutable_finetune()->clear_model(); }),
      StartsWith("profile: finetune.model: missing"));
  EXPECT_THAT(
      refused([](v1::JobSpec& spec) { spec.mutable_quality_floor()->set_kl_divergence_max(0.1); }),
      HasSubstr("quality_floor"));
}

}  // namespace
}  // namespace wattle::core
