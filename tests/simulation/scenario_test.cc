// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Scenarios of operators on the simulation: the published figures of two boards, the same bytes for
// the same seed, what each policy does, and what the figures count.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/recorder.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"
#include "sim/scenario/true_rates.h"
#include "tests/simulation/fault_points.h"
#include "tests/simulation/scenario_for_test.h"

namespace wattle::sim {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const ClassRuns& RunsOf(const std::vector<ClassRuns>& runs, const std::string& job) {
  static const ClassRuns kNone;
  for (const ClassRuns& one : runs) {
    if (one.job == job) {
      return one;
    }
  }
  ADD_FAILURE() << "no run of " << job;
  return kNone;
}

TEST(ScenarioFilesTest, TwoJetsonsTakeWhatThePapersSay) {
  const auto scenario = ReadScenarioAt("two-jetsons.yaml", {});
  ASSERT_THAT(scenario, IsOk());
  const auto results = RunPolicies(*scenario);
  ASSERT_THAT(results, IsOk());
  const std::vector<ClassRuns>& runs = results->at(0).class_runs;
  double time = 0.0;
  double power = 0.0;
  double energy = 0.0;
  for (const std::string model : {"gpt2", "distilgpt2"}) {
    const ClassRuns& orin = RunsOf(runs, model + "-on-orin");
    const ClassRuns& xavier = RunsOf(runs, model + "-on-xavier");
    time += (orin.seconds / xavier.seconds - 1.0) / 2.0;
    power += (orin.watts / xavier.watts - 1.0) / 2.0;
    energy += (orin.watt_hours / xavier.watt_hours - 1.0) / 2.0;
  }
  EXPECT_NEAR(time, -0.30, 0.005);
  EXPECT_NEAR(power, -0.20, 0.005);
  EXPECT_NEAR(energy, -0.44, 0.005);
  EXPECT_NEAR(RunsOf(runs, "gpt2-on-orin").seconds, 11726, 0.005 * 11726);
  EXPECT_NEAR(RunsOf(runs, "gpt2-on-orin").watt_hours, 36.33, 0.005 * 36.33);
  EXPECT_NEAR(RunsOf(runs, "gpt2-on-xavier").seconds, 14561, 0.005 * 14561);
  EXPECT_NEAR(RunsOf(runs, "gpt2-on-xavier").watt_hours, 57.82, 0.005 * 57.82);
  EXPECT_NEAR(RunsOf(runs, "distilgpt2-on-orin").seconds, 9414, 0.005 * 9414);
  EXPECT_NEAR(RunsOf(runs, "distilgpt2-on-xavier").watt_hours, 59.05, 0.005 * 59.05);
}

constexpr char kSite[] = R"(
duration: 36h
fleet:
  - {name: mast, class: jetson-orin-nano, count: 2, pack_wh: 60, charge: 0.6, reserve: 0.3, panel_watts: 40}
sun: {file: sun.csv, spread: 0.3}
rates: {seconds_spread: 0.2, watts_spread: 0.1}
data: {questions: {examples: 1000}}
jobs:
  - {name: tune, per_day: 8, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
)";

TEST(RunTest, TheSameSeedGivesTheSameRunAndAnotherSeedAnother) {
  const RunFigures first = FiguresOf(kSite);
  const RunFigures again = FiguresOf(kSite);
  EXPECT_EQ(first.values, again.values);
  EXPECT_EQ(first.fingerprint, again.fingerprint);
  EXPECT_EQ(first.steps, again.steps);
  EXPECT_NE(first.fingerprint, FiguresOf(kSite, "ours", 2).fingerprint);
  EXPECT_NE(first.fingerprint, FiguresOf(kSite, "fastest").fingerprint);
}

// The board is slower than the tables state, so a job that fitted into the pack does not.
constexpr char kSlowBoard[] = R"(
duration: 12h
fleet:
  - {name: mast, class: jetson-orin-nano, pack_wh: 60, charge: 0.8, reserve: 0.3}
rates: {seconds_spread: 1}
data: {questions: {examples: 10000}}
jobs:
  - {name: tune, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
)";

// The guard stops work in time, and each time is counted. Sums over some seeds, because some draw a
// fast board.
TEST(RunTest, WorkKeepsTheReserveAndAForgottenMarginIsCounted) {
  const auto scenario = Parse(kSlowBoard);
  ASSERT_THAT(scenario, IsOk());
  double stops = 0.0;
  double breaches = 0.0;
  double breaches_without_margin = 0.0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const RunFigures kept = FiguresOf(kSlowBoard, "fastest", seed);
    stops += kept[Figure::kGuardStops];
    breaches += kept[Figure::kReserveBreaches];
    TurnOnFaultPoint("guard margin");
    const auto broken = RunScenario(*scenario, "fastest", seed);
    TurnOnFaultPoint("");
    ASSERT_THAT(broken, IsOk());
    breaches_without_margin += (*broken)[Figure::kReserveBreaches];
  }
  EXPECT_GT(stops, 0);
  EXPECT_EQ(breaches, 0);
  EXPECT_GT(breaches_without_margin, 0);
}

TEST(RunTest, SunFillsThePackAndWithoutItWorkEnds) {
  std::string dark(kSite);
  dark.replace(dark.find("panel_watts: 40"), 15, "panel_watts: 1 ");
  const double done = FiguresOf(kSite)[Figure::kDone];
  EXPECT_GT(done, FiguresOf(dark)[Figure::kDone] + 3) << done;
}

TEST(RunTest, ABoardWithoutALinkGetsNoWork) {
  const std::string text = R"(
duration: 10h
fleet:
  - {name: far, class: jetson-orin-nano}
  - {name: near, class: raspberry-pi-5}
data: {questions: {examples: 400}}
links:
  - {group: far, from: 0h, to: 10h}
jobs:
  - {name: check, at: 30m, every: 2h, job: {evaluate: {model: distilgpt2, data: questions, sequence_length: 384}}}
)";
  const RunFigures figures = FiguresOf(text);
  ASSERT_EQ(figures.class_runs.size(), 1);
  EXPECT_EQ(figures.class_runs[0].device_class, "raspberry-pi-5");
}

// The true cost on the boards depends on the seed and not on the policy, and its spread is the
// stated one.
TEST(TrueRatesTest, TheFactorsHaveTheStatedSpread) {
  const auto scenario = Parse(kSite);
  ASSERT_THAT(scenario, IsOk());
  v1::DeviceInfo info;
  info.set_device_class("jetson-orin-nano");
  double sum = 0.0;
  double squares = 0.0;
  constexpr int kSeeds = 2000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const TrueRates rates(*scenario, static_cast<uint64_t>(seed));
    const auto workload = rates.WorkloadOf(scenario->jobs[0].spec, 0, info, Watts(3.5));
    ASSERT_THAT(workload, IsOk());
    const double published = 9414.0 / 20000.0 * 1000.0;
    const double log_factor =
        std::log(workload->step_seconds * static_cast<double>(workload->steps) / published);
    sum += log_factor;
    squares += log_factor * log_factor;
  }
  EXPECT_NEAR(sum / kSeeds, 0.0, 0.02);
  EXPECT_NEAR(std::sqrt(squares / kSeeds), 0.2, 0.01);
}

// Two boards, free at the same time; the Xavier NX takes more seconds and more joules. The first
// job comes at hour 1.
std::string TwoBoards(const std::string& second_at) {
  return absl::StrCat(R"(
duration: 20h
fleet:
  - {name: a, class: jetson-xavier-nx}
  - {name: b, class: jetson-orin-nano}
data: {questions: {examples: 1000}}
jobs:
  - {name: first, at: 1h, job: {finetune: {model: gpt2, data: questions, sequence_length: 384}}}
  - {name: second, at: )",
                      second_at,
                      R"(, job: {finetune: {model: gpt2, data: questions, sequence_length: 384}}}
)");
}

int64_t RunsOn(const RunFigures& figures, const std::string& device_class) {
  int64_t runs = 0;
  for (const ClassRuns& one : figures.class_runs) {
    runs += one.device_class == device_class ? one.runs : 0;
  }
  return runs;
}

TEST(PlannersTest, EachChoosesByItsOwnRule) {
  EXPECT_EQ(RunsOn(FiguresOf(TwoBoards("5h"), "ours"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(FiguresOf(TwoBoards("5h"), "fastest"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(FiguresOf(TwoBoards("5h"), "fewest_joules"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(FiguresOf(TwoBoards("5h"), "edf"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(FiguresOf(TwoBoards("5h"), "round_robin"), "jetson-orin-nano"), 1);
  EXPECT_EQ(RunsOn(FiguresOf(TwoBoards("5h"), "round_robin"), "jetson-xavier-nx"), 1);
}

// Two jobs of the same second: the second one ends earlier on the worse board, and takes fewer
// joules behind the first one.
TEST(PlannersTest, WhoWaitsForABoardThatIsBusy) {
  const std::string text = TwoBoards("1h");
  EXPECT_EQ(RunsOn(FiguresOf(text, "heft"), "jetson-orin-nano"), 1);
  EXPECT_EQ(RunsOn(FiguresOf(text, "heft"), "jetson-xavier-nx"), 1);
  EXPECT_EQ(RunsOn(FiguresOf(text, "greedy"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(FiguresOf(text, "ours"), "jetson-orin-nano"), 2);
}

// The long job begins on the worse board, because the better one is busy for too long. Once the
// better board is free, the rest continues there.
TEST(PlannersTest, ARunningJobMovesToTheBetterBoardOnceItIsFree) {
  const std::string text = R"(
duration: 60h
fleet:
  - {name: a, class: jetson-orin-nano, link_mbit: 100}
  - {name: b, class: jetson-xavier-nx, link_mbit: 100}
data: {short: {examples: 15000}, long: {examples: 50000}}
jobs:
  - {name: short, at: 1h, job: {objective: time, finetune: {model: gpt2, data: short, sequence_length: 384}}}
  - {name: long, at: 70m, job: {objective: time, finetune: {model: gpt2, data: long, sequence_length: 384}}}
)";
  const RunFigures moves = FiguresOf(text, "ours");
  const RunFigures stays = FiguresOf(text, "without_moves");
  EXPECT_EQ(moves[Figure::kDone], 2);
  EXPECT_EQ(stays[Figure::kDone], 2);
  EXPECT_EQ(RunsOn(stays, "jetson-xavier-nx"), 1);
  EXPECT_LT(moves[Figure::kWorkWattHours], 0.95 * stays[Figure::kWorkWattHours]);
}

// The long job is submitted second. Whoever places it first gives it the faster board.
TEST(PlannersTest, HeftPlacesTheLongestJobFirst) {
  const std::string text = R"(
duration: 40h
fleet:
  - {name: a, class: jetson-xavier-nx}
  - {name: b, class: jetson-orin-nano}
data: {long: {examples: 10000}, short: {examples: 1000}}
jobs:
  - {name: short, at: 1h, job: {finetune: {model: gpt2, data: short, sequence_length: 384}}}
  - {name: long, at: 1h, job: {finetune: {model: gpt2, data: long, sequence_length: 384}}}
)";
  // The short job thus ends first on the other board. By age both would run on the faster board.
  const RunFigures heft = FiguresOf(text, "heft");
  EXPECT_EQ(RunsOn(heft, "jetson-xavier-nx"), 1);
  EXPECT_LT(heft[Figure::kWorkWattHours], 0.8 * FiguresOf(text, "fastest")[Figure::kWorkWattHours]);
}

// A Pi is slower than a Xavier NX and adds fewer joules to the fleet's: the two rules part.
TEST(PlannersTest, TheFastestBoardIsNotTheOneOfFewestJoules) {
  const std::string text = R"(
duration: 20h
fleet:
  - {name: a, class: raspberry-pi-5}
  - {name: b, class: jetson-xavier-nx}
data: {questions: {examples: 300}}
jobs:
  - {name: one, at: 1h, job: {evaluate: {model: gpt2, data: questions, sequence_length: 384}}}
)";
  EXPECT_EQ(RunsOn(FiguresOf(text, "fastest"), "jetson-xavier-nx"), 1);
  EXPECT_EQ(RunsOn(FiguresOf(text, "fewest_joules"), "raspberry-pi-5"), 1);
}

// One board and two jobs of the same second: only policies that order by deadline meet the second
// one's.
TEST(PlannersTest, DeadlinesAreMetByThoseWhoLookAtThem) {
  const std::string text = R"(
duration: 20h
fleet:
  - {name: a, class: jetson-orin-nano}
data: {long: {examples: 20000}, short: {examples: 1000}}
jobs:
  - {name: long, at: 1h, job: {finetune: {model: gpt2, data: long, sequence_length: 384}}}
  - {name: short, at: 1h, job: {deadline_seconds: 7200, finetune: {model: gpt2, data: short, sequence_length: 384}}}
)";
  EXPECT_EQ(FiguresOf(text, "fastest")[Figure::kMissed], 1);
  EXPECT_EQ(FiguresOf(text, "edf")[Figure::kMissed], 0);
  EXPECT_EQ(FiguresOf(text, "ours")[Figure::kMissed], 0);
  EXPECT_EQ(FiguresOf(text, "edf")[Figure::kDone], 2);
  EXPECT_EQ(FiguresOf(text, "greedy")[Figure::kMissed], 1);
  const std::string urgent = absl::StrReplaceAll(text, {{"{deadline", "{priority: 10, deadline"}});
  EXPECT_EQ(FiguresOf(urgent, "greedy")[Figure::kMissed], 0);
}

// A board whose pack is too empty to start joins with the sun; until then it is unknown.
TEST(PlannersTest, AJobWaitsForAFleetThatIsNotThereYet) {
  const std::string text = R"(
duration: 20h
fleet:
  - {name: mast, class: jetson-orin-nano, pack_wh: 40, charge: 0.05, panel_watts: 60}
sun: {file: sun.csv}
data: {questions: {examples: 300}}
jobs:
  - {name: one, job: {evaluate: {model: gpt2, data: questions, sequence_length: 384}}}
)";
  for (const std::string& policy : PolicyNames()) {
    const RunFigures figures = FiguresOf(text, policy);
    EXPECT_EQ(figures[Figure::kDone], 1) << policy;
    EXPECT_EQ(figures[Figure::kFailed], 0) << policy;
    EXPECT_GT(figures[Figure::kWaitMeanHours], 5) << policy;
  }
}

Recording RecordingOf(const std::string& text, const std::string& policy = "ours") {
  const auto scenario = Parse(text);
  EXPECT_THAT(scenario, IsOk());
  Recording recording;
  EXPECT_THAT(RunScenario(scenario.value_or(Scenario()), policy, 1, nullptr, &recording), IsOk());
  return recording;
}

// A long job runs when the scenario ends, and another one waits behind it.
TEST(RunTest, JobsThatHaveNotEndedAreOpen) {
  const std::string text = R"(
duration: 3h
fleet:
  - {name: a, class: jetson-orin-nano}
data: {long: {examples: 40000}, short: {examples: 500}}
jobs:
  - {name: short, job: {finetune: {model: gpt2, data: short, sequence_length: 384}}}
  - {name: long, at: 1h, job: {finetune: {model: gpt2, data: long, sequence_length: 384}}}
  - {name: late, at: 2h, job: {deadline_seconds: 600, finetune: {model: gpt2, data: short, sequence_length: 384}}}
  - {name: behind, at: 2h, job: {finetune: {model: gpt2, data: short, sequence_length: 384}}}
)";
  const RunFigures figures = FiguresOf(text);
  EXPECT_EQ(figures[Figure::kDone], 1);
  EXPECT_EQ(figures[Figure::kMissed], 1);
  EXPECT_EQ(figures[Figure::kOpen], 2);
}

// Harvested energy is in the packs, in the boards' work and idle time, or lost.
TEST(RunTest, SunThatFullPacksCannotTakeIsLost) {
  std::string text(kSite);
  text.replace(text.find("pack_wh: 60, charge: 0.6"), 24, "pack_wh: 60, charge: 0.9");
  text.replace(text.find("per_day: 8"), 10, "at: 20h");
  const auto scenario = Parse(text);
  ASSERT_THAT(scenario, IsOk());
  Recording recording;
  const auto figures = RunScenario(*scenario, "ours", 1, nullptr, &recording);
  ASSERT_THAT(figures, IsOk());
  double came = 0.0;
  for (const GroupTruth& group : TruthOf(*scenario, 1)) {
    for (const double watts : group.sun) {
      came += watts * static_cast<double>(group.boards.size());
    }
  }
  double stored = 0.0;
  for (const BoardRecord& board : recording.boards) {
    stored += (board.pack.back().charge - board.pack.front().charge).value() * 60.0;
  }
  EXPECT_GT((*figures)[Figure::kLostSunWattHours], 50.0);
  EXPECT_NEAR(came,
              stored + (*figures)[Figure::kFleetWattHours] + (*figures)[Figure::kLostSunWattHours],
              1.0);
}

TEST(TruthTest, IsWhatRunsTakeAndPanelsGive) {
  const auto scenario = Parse(kSite);
  ASSERT_THAT(scenario, IsOk());
  const std::vector<GroupTruth> truth = TruthOf(*scenario, 1);
  ASSERT_EQ(truth.size(), 1);
  ASSERT_EQ(truth[0].boards.size(), 2);
  Recording recording;
  const auto figures = RunScenario(*scenario, "ours", 1, nullptr, &recording);
  ASSERT_THAT(figures, IsOk());
  for (const PackSample& sample : recording.boards[1].pack) {
    const auto hour = static_cast<size_t>(sample.at_seconds / kSecondsOfHour);
    if (std::fmod(sample.at_seconds, kSecondsOfHour) > 0.0) {
      EXPECT_DOUBLE_EQ(sample.sun.value(), truth[0].sun[hour]) << hour;
    }
  }
  // The mean of the runs lies between the two boards' truths.
  const JobTruth& one = truth[0].boards[0].jobs[0];
  const JobTruth& other = truth[0].boards[1].jobs[0];
  const ClassRuns& runs = RunsOf(figures->class_runs, "tune");
  EXPECT_NE(one.seconds, other.seconds);
  EXPECT_GE(runs.seconds, 0.99 * std::min(one.seconds, other.seconds));
  EXPECT_LE(runs.seconds, 1.01 * std::max(one.seconds, other.seconds));
  EXPECT_GE(runs.watts, 0.99 * std::min(one.power, other.power).value());
  EXPECT_LE(runs.watts, 1.01 * std::max(one.power, other.power).value());
}

TEST(RecordingTest, LeavesTheRunAsItIs) {
  const auto scenario = Parse(kSite);
  ASSERT_THAT(scenario, IsOk());
  const RunFigures plain = FiguresOf(kSite);
  Recording recording;
  const auto recorded = RunScenario(*scenario, "ours", 1, nullptr, &recording);
  ASSERT_THAT(recorded, IsOk());
  EXPECT_EQ(recorded->values, plain.values);
  EXPECT_EQ(recorded->fingerprint, plain.fingerprint);
  EXPECT_EQ(recorded->steps, plain.steps);
  ASSERT_EQ(recording.boards.size(), 2);
  EXPECT_EQ(recording.boards[1].name, "mast-2");
  EXPECT_EQ(recording.boards[1].group, "mast");
  EXPECT_EQ(recording.boards[1].reserve, Fraction(0.3));
  EXPECT_EQ(recording.boards[1].pack.size(), 36 * 4 + 1);
  EXPECT_EQ(recording.boards[1].pack.back().at_seconds, scenario->duration_seconds);
}

TEST(RecordingTest, IsOfTheFirstSeedAndOnlyWhenAsked) {
  auto scenario = Parse(TwoBoards("5h"), {.set = {"seeds=2", "seed=7"}, .add = {}});
  ASSERT_THAT(scenario, IsOk());
  const auto without = RunPolicies(*scenario);
  ASSERT_THAT(without, IsOk());
  EXPECT_FALSE(without->at(0).recording.has_value());
  const auto with = RunPolicies(*scenario, nullptr, Recorded::kFirstSeed);
  ASSERT_THAT(with, IsOk());
  ASSERT_TRUE(with->at(0).recording.has_value());
  EXPECT_EQ(with->at(0).recording->seed, 7);
}

TEST(RecordingTest, AttemptsAndPhasesAddUpToTheReceiptsAndTheFleet) {
  const Recording recording = RecordingOf(TwoBoards("5h"), "round_robin");
  double seconds = 0.0;
  Joules energy;
  for (const BoardRecord& board : recording.boards) {
    ASSERT_EQ(board.attempts.size(), 1) << board.name;
    EXPECT_THAT(board.pack, IsEmpty());
    const AttemptRecord& attempt = board.attempts[0];
    EXPECT_EQ(attempt.job, attempt.group + "-1");
    EXPECT_EQ(attempt.state, v1::ATTEMPT_STATE_FINISHED);
    EXPECT_NEAR(attempt.begin_seconds, attempt.group == "first" ? 3600.0 : 5 * 3600.0, 10.0);
    seconds += attempt.end_seconds - attempt.begin_seconds;
    energy += attempt.energy.value_or(Joules(0));
  }
  double phase_seconds = 0.0;
  Joules phase_energy;
  for (const PhaseRecord& phase : recording.energy.phases) {
    phase_seconds += phase.seconds;
    phase_energy += phase.energy;
  }
  EXPECT_GT(seconds, 600.0);
  EXPECT_NEAR(seconds, phase_seconds, 2.0);
  EXPECT_NEAR(energy.value(), phase_energy.value(), 1.0);
  EXPECT_NEAR(energy.value(), recording.energy.attempts.value(), 1.0);
  // The ledgers begin a quarter of an hour before hour 0, and the last of them is as old at the
  // end.
  const Joules ledgers =
      recording.energy.idle + recording.energy.overhead + recording.energy.attempts;
  const double fleet = FiguresOf(TwoBoards("5h"), "round_robin")[Figure::kFleetWattHours];
  EXPECT_NEAR(ToWattHours(ledgers), fleet, 2 * 0.25 * 10.0);
}

// A pack without work: what the sun gives and the idle board takes.
TEST(RecordingTest, ChargeAndSunAreTheTruth) {
  const std::string text = R"(
duration: 40h
fleet:
  - {name: mast, class: jetson-orin-nano, pack_wh: 400, charge: 0.5, panel_watts: 20}
sun: {file: sun.csv}
data: {questions: {examples: 300}}
jobs:
  - {name: one, at: 39h, job: {evaluate: {model: gpt2, data: questions, sequence_length: 384}}}
)";
  const auto scenario = Parse(text);
  ASSERT_THAT(scenario, IsOk());
  const Recording recording = RecordingOf(text);
  ASSERT_EQ(recording.boards.size(), 1);
  const std::vector<PackSample>& pack = recording.boards[0].pack;
  ASSERT_EQ(pack.size(), 40 * 4 + 1);
  const double idle = scenario->fleet[0].board_class.idle.value();
  const double sun = 20.0 * scenario->sun[12];
  for (size_t i = 1; i < size_t{39 * 4}; ++i) {
    SCOPED_TRACE(pack[i].at_seconds / 3600.0);
    const double hour = std::fmod(pack[i].at_seconds / 3600.0, 24.0);
    const bool is_day = hour >= 6.0 && hour < 18.0;
    EXPECT_DOUBLE_EQ(pack[i].sun.value(), is_day ? sun : 0.0);
    const double change = (pack[i].charge - pack[i - 1].charge).value() * 400.0;
    EXPECT_NEAR(change, (pack[i - 1].sun.value() - idle) * 0.25, 1e-3);
    if (i < size_t{6 * 4}) {
      EXPECT_NEAR(pack[i].expected_sun.value_or(Watts(0)).value(), 0.0, 0.1);
    }
  }
  // On the second day the planner has seen the harvest at noon.
  ASSERT_TRUE(pack[36 * 4].expected_sun.has_value());
  EXPECT_NEAR(pack[36 * 4].expected_sun->value(), sun, 0.1 * sun);
  EXPECT_NEAR(pack[28 * 4].expected_sun.value_or(Watts(99)).value(), 0.0, 0.1 * sun);
}

TEST(RecordingTest, NamesTheJobsThatCountAsMissedOrFailed) {
  const std::string text = R"(
duration: 20h
fleet:
  - {name: a, class: jetson-orin-nano}
data: {long: {examples: 20000}, short: {examples: 1000}}
jobs:
  - {name: long, at: 1h, job: {finetune: {model: gpt2, data: long, sequence_length: 384}}}
  - {name: short, at: 1h, job: {deadline_seconds: 7200, finetune: {model: gpt2, data: short, sequence_length: 384}}}
  - {name: large, at: 1h, job: {finetune: {model: gpt2, data: short, sequence_length: 1024, batch_size: 64}}}
)";
  const Recording recording = RecordingOf(text, "fastest");
  ASSERT_EQ(recording.lost_jobs.size(), 2);
  EXPECT_EQ(recording.lost_jobs[0].job, "short-1");
  EXPECT_TRUE(recording.lost_jobs[0].missed);
  EXPECT_EQ(recording.lost_jobs[0].state, v1::JOB_STATE_FAILED);
  EXPECT_EQ(recording.lost_jobs[1].job, "large-1");
  EXPECT_FALSE(recording.lost_jobs[1].missed);
  EXPECT_EQ(recording.lost_jobs[1].late_seconds, 0.0);
  EXPECT_THAT(recording.lost_jobs[1].reason, HasSubstr("memory"));
}

TEST(OutcomeTest, ADeadlineIsMissedByWhoEndsLaterFailsOrIsStillOpen) {
  constexpr double kEnd = 10'000.0;
  const auto outcome = [](v1::JobState state, double deadline, double finished) {
    v1::Job job;
    job.set_state(state);
    job.set_submitted_unix_seconds(1000.0);
    job.set_finished_unix_seconds(finished);
    job.mutable_spec()->set_deadline_seconds(deadline);
    return OutcomeOf(job, kEnd);
  };
  const JobOutcome late = outcome(v1::JOB_STATE_SUCCEEDED, 500.0, 1800.0);
  EXPECT_TRUE(late.done && late.missed && !late.failed);
  EXPECT_EQ(late.late_seconds, 300.0);
  const JobOutcome in_time = outcome(v1::JOB_STATE_SUCCEEDED, 500.0, 1500.0);
  EXPECT_TRUE(in_time.done && !in_time.missed && !in_time.failed);
  const JobOutcome gave_up = outcome(v1::JOB_STATE_FAILED, 500.0, 1400.0);
  EXPECT_TRUE(!gave_up.done && gave_up.missed && !gave_up.failed);
  EXPECT_EQ(gave_up.late_seconds, 0.0);
  const JobOutcome open = outcome(v1::JOB_STATE_QUEUED, 500.0, 0.0);
  EXPECT_TRUE(!open.done && open.missed && !open.failed);
  EXPECT_EQ(open.late_seconds, 8500.0);
  const JobOutcome failed = outcome(v1::JOB_STATE_FAILED, 0.0, 1400.0);
  EXPECT_TRUE(!failed.done && !failed.missed && failed.failed);
  EXPECT_FALSE(outcome(v1::JOB_STATE_QUEUED, 0.0, 0.0).missed);
}

TEST(RecordingTest, ALongScenarioHasFewerSamples) {
  EXPECT_EQ(SampleSeconds(kSecondsOfHour), 900.0);
  EXPECT_EQ(SampleSeconds(31.25 * kSecondsOfDay), 900.0);
  EXPECT_EQ(SampleSeconds(31.5 * kSecondsOfDay), 1800.0);
  EXPECT_LE(366.0 * kSecondsOfDay / SampleSeconds(366.0 * kSecondsOfDay), kSamplesMax);
}

TEST(SpreadTest, TheIntervalHoldsNineOfTen) {
  std::vector<double> values;
  for (int i = 100; i >= 0; --i) {
    values.push_back(i);
  }
  const Spread spread = SpreadOf(values);
  EXPECT_DOUBLE_EQ(spread.median, 50);
  EXPECT_DOUBLE_EQ(spread.low, 5);
  EXPECT_DOUBLE_EQ(spread.high, 95);
  EXPECT_DOUBLE_EQ(SpreadOf({7}).low, 7);
}

TEST(ChangesTest, SetAndAddChangeTheFleet) {
  const auto scenario =
      Parse(kSite, {.set = {"reserve=0.4", "mast.count=5", "duration=1d", "seed=9"},
                    .add = {"raspberry-pi-5=2"}});
  ASSERT_THAT(scenario, IsOk());
  EXPECT_EQ(scenario->boards(), 7);
  EXPECT_EQ(scenario->fleet[0].count, 5);
  ASSERT_TRUE(scenario->fleet[0].policy.has_value());
  EXPECT_EQ(scenario->fleet[0].policy->reserve_state_of_charge_ratio(), 0.4);
  EXPECT_EQ(scenario->fleet[1].board_class.name, "raspberry-pi-5");
  EXPECT_FALSE(scenario->fleet[1].pack.has_value());
  EXPECT_EQ(scenario->duration_seconds, kSecondsOfDay);
  EXPECT_EQ(scenario->first_seed, 9);
}

// Short jobs never make the board in the case hot, so a long one is predicted from their rate. Its
// deadline is met at that rate, and not at the one that the heat allows.
TEST(ScenarioFilesTest, ThePlanThatKnowsTheHeatMeetsTheDeadlineThatTheOtherMisses) {
  const auto scenario = ReadScenarioAt("heat.yaml", {});
  ASSERT_THAT(scenario, IsOk());
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    const auto knows = RunScenario(*scenario, "ours", seed);
    const auto does_not = RunScenario(*scenario, "without_heat", seed);
    ASSERT_THAT(knows, IsOk());
    ASSERT_THAT(does_not, IsOk());
    EXPECT_EQ((*knows)[Figure::kMissed], 0);
    EXPECT_GT((*does_not)[Figure::kMissed], 0);
  }
}

}  // namespace
}  // namespace wattle::sim
