// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Scenarios of operators on the simulation: every file of deploy/scenarios, the published figures of
// two boards, the same bytes for the same seed, what each policy does, and what the figures count.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "sim/fault_points.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"
#include "sim/scenario/true_rates.h"

namespace wattle::sim {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string ScenarioPath(const std::string& name) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/deploy/scenarios/", name);
}

absl::StatusOr<Scenario> ReadScenarioAt(const std::string& name, const Changes& changes) {
  return ParseScenario(ReadText(ScenarioPath(name)), name, changes, [](const std::string& table) {
    return absl::StatusOr<std::string>(ReadText(ScenarioPath(table)));
  });
}

// A scenario of one test. Its sun is bright from 6 to 18 each day.
absl::StatusOr<Scenario> Parse(const std::string& text, const Changes& changes = {}) {
  return ParseScenario(text, "test.yaml", changes, [](const std::string& /*name*/) {
    std::string sun = "hour,w_per_m2\n";
    for (int hour = 0; hour < 240; ++hour) {
      absl::StrAppend(&sun, hour, ",", hour % 24 >= 6 && hour % 24 < 18 ? 600 : 0, "\n");
    }
    return absl::StatusOr<std::string>(sun);
  });
}

RunFigures Run(const std::string& text, const std::string& policy = "ours", uint64_t seed = 1) {
  const auto scenario = Parse(text);
  EXPECT_THAT(scenario, IsOk());
  if (!scenario.ok()) {
    return {};
  }
  const auto figures = RunScenario(*scenario, policy, seed);
  EXPECT_THAT(figures, IsOk());
  return figures.value_or(RunFigures());
}

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

// Two days are enough to see each file work; a person runs it whole.
TEST(ScenarioFilesTest, EveryFileRunsUnderEveryPolicy) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(ScenarioPath(""))) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".yaml") {
      continue;
    }
    files.insert(name);
    SCOPED_TRACE(name);
    auto scenario = ReadScenarioAt(name, {.set = {"seeds=1"}, .add = {}});
    ASSERT_THAT(scenario, IsOk());
    scenario->duration_seconds = std::min(scenario->duration_seconds, 2.0 * kSecondsOfDay);
    scenario->policies = PolicyNames();
    const auto results = RunPolicies(*scenario);
    ASSERT_THAT(results, IsOk());
    for (const PolicyResult& result : *results) {
      const auto& figures = result.figures;
      EXPECT_GT(figures[static_cast<size_t>(Figure::kDone)].median, 0) << result.policy;
      EXPECT_EQ(figures[static_cast<size_t>(Figure::kReserveBreaches)].median, 0) << result.policy;
    }
  }
  EXPECT_EQ(files, (std::set<std::string>{"deadlines.yaml", "mast.yaml", "two-jetsons.yaml"}));
}

constexpr char kSite[] = R"(
duration: 2d
fleet:
  - {name: mast, class: jetson-orin-nano, count: 2, pack_wh: 60, charge: 0.6, reserve: 0.3, panel_watts: 40}
sun: {file: sun.csv, spread: 0.3}
rates: {seconds_spread: 0.2, watts_spread: 0.1}
data: {questions: {examples: 1000}}
jobs:
  - {name: tune, per_day: 12, job: {finetune: {model: distilgpt2, data: questions}}}
)";

TEST(RunTest, TheSameSeedGivesTheSameRunAndAnotherSeedAnother) {
  const RunFigures first = Run(kSite);
  const RunFigures again = Run(kSite);
  EXPECT_EQ(first.values, again.values);
  EXPECT_EQ(first.fingerprint, again.fingerprint);
  EXPECT_EQ(first.steps, again.steps);
  EXPECT_NE(first.fingerprint, Run(kSite, "ours", 2).fingerprint);
  EXPECT_NE(first.fingerprint, Run(kSite, "fastest").fingerprint);
}

TEST(RunTest, WorkKeepsTheReserveAndAForgottenMarginIsCounted) {
  const RunFigures kept = Run(kSite, "fastest");
  EXPECT_EQ(kept[Figure::kReserveBreaches], 0);
  EXPECT_GT(kept[Figure::kDone], 0);
  const auto scenario = Parse(kSite);
  ASSERT_THAT(scenario, IsOk());
  TurnOnFaultPoint("guard margin");
  const auto broken = RunScenario(*scenario, "fastest", 1);
  TurnOnFaultPoint("");
  // Either the figure or the invariant of the guard tells.
  EXPECT_TRUE(!broken.ok() || (*broken)[Figure::kReserveBreaches] > 0);
}

TEST(RunTest, SunFillsThePackAndWithoutItWorkEnds) {
  std::string dark(kSite);
  dark.replace(dark.find("panel_watts: 40"), 15, "panel_watts: 1 ");
  const double done = Run(kSite)[Figure::kDone];
  EXPECT_GT(done, Run(dark)[Figure::kDone] + 3) << done;
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
  - {name: check, at: 30m, every: 2h, job: {evaluate: {model: distilgpt2, data: questions}}}
)";
  const RunFigures figures = Run(text);
  ASSERT_EQ(figures.class_runs.size(), 1);
  EXPECT_EQ(figures.class_runs[0].device_class, "raspberry-pi-5");
}

// What the boards take in truth depends on the seed and not on the policy, and its spread is the
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

// Two boards, free at the same time; the Xavier NX takes more seconds and more joules.
constexpr char kTwoBoards[] = R"(
duration: 20h
fleet:
  - {name: a, class: jetson-xavier-nx}
  - {name: b, class: jetson-orin-nano}
data: {questions: {examples: 1000}}
jobs:
  - {name: first, at: 1h, job: {finetune: {model: gpt2, data: questions}}}
  - {name: second, at: 5h, job: {finetune: {model: gpt2, data: questions}}}
)";

int64_t RunsOn(const RunFigures& figures, const std::string& device_class) {
  int64_t runs = 0;
  for (const ClassRuns& one : figures.class_runs) {
    runs += one.device_class == device_class ? one.runs : 0;
  }
  return runs;
}

TEST(PlannersTest, EachChoosesByItsOwnRule) {
  EXPECT_EQ(RunsOn(Run(kTwoBoards, "ours"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(Run(kTwoBoards, "fastest"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(Run(kTwoBoards, "fewest_joules"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(Run(kTwoBoards, "edf"), "jetson-orin-nano"), 2);
  EXPECT_EQ(RunsOn(Run(kTwoBoards, "round_robin"), "jetson-orin-nano"), 1);
  EXPECT_EQ(RunsOn(Run(kTwoBoards, "round_robin"), "jetson-xavier-nx"), 1);
}

// A Pi is slower than a Xavier NX and draws less: the two rules part.
TEST(PlannersTest, TheFastestBoardIsNotTheOneOfFewestJoules) {
  const std::string text = R"(
duration: 20h
fleet:
  - {name: a, class: jetson-orin-nano}
  - {name: b, class: jetson-xavier-nx}
data: {questions: {examples: 1000}}
jobs:
  - {name: one, at: 1h, job: {evaluate: {model: gpt2, data: questions}}}
)";
  const RunFigures fastest = Run(text, "fastest");
  const RunFigures fewest = Run(text, "fewest_joules");
  EXPECT_LE(fastest.class_runs.at(0).seconds, fewest.class_runs.at(0).seconds);
  EXPECT_GE(fastest.class_runs.at(0).watt_hours, fewest.class_runs.at(0).watt_hours);
}

// One board and two jobs of the same second: only who goes by deadlines keeps the second one's.
TEST(PlannersTest, DeadlinesAreMetByThoseWhoLookAtThem) {
  const std::string text = R"(
duration: 20h
fleet:
  - {name: a, class: jetson-orin-nano}
data: {long: {examples: 20000}, short: {examples: 1000}}
jobs:
  - {name: long, at: 1h, job: {finetune: {model: gpt2, data: long}}}
  - {name: short, at: 1h, job: {deadline_seconds: 7200, finetune: {model: gpt2, data: short}}}
)";
  EXPECT_EQ(Run(text, "fastest")[Figure::kMissed], 1);
  EXPECT_EQ(Run(text, "edf")[Figure::kMissed], 0);
  EXPECT_EQ(Run(text, "ours")[Figure::kMissed], 0);
  EXPECT_EQ(Run(text, "edf")[Figure::kDone], 2);
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

}  // namespace
}  // namespace wattle::sim
