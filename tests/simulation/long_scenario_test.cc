// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Scenarios that take minutes under sanitizers: every file of deploy/scenarios under every policy,
// and the share of runs within their intervals.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "sim/fault_points.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"
#include "tests/simulation/scenario_for_test.h"

namespace wattle::sim {
namespace {

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
  EXPECT_EQ(files,
            (std::set<std::string>{"changing.yaml", "deadlines.yaml", "heat.yaml", "mast.yaml",
                                   "moves.yaml", "one-pack.yaml", "two-jetsons.yaml"}));
}

// On their first day the masts know too little sun to tell when a run that rests would end. Such a
// run waits, and its job has not failed at once.
TEST(ScenarioFilesTest, TheMastsMissNoDeadline) {
  auto scenario = ReadScenarioAt("mast.yaml", {.set = {"seeds=1"}, .add = {}});
  ASSERT_THAT(scenario, IsOk());
  scenario->first_seed = 105'852'023;
  scenario->policies = {"ours"};
  const auto results = RunPolicies(*scenario);
  ASSERT_THAT(results, IsOk());
  EXPECT_EQ(results->front().figures[static_cast<size_t>(Figure::kMissed)].median, 0);
  EXPECT_EQ(results->front().figures[static_cast<size_t>(Figure::kFailed)].median, 0);
}

// Two boards of two classes with eleven runs a day each, and one thing that changes their speed.
std::string ChangingBoards(const std::string& change) {
  return absl::StrCat(R"(
duration: 8d
fleet:
  - {name: orin, class: jetson-orin-nano}
  - {name: pi, class: raspberry-pi-5}
rates: {seconds_spread: 0.3, runs_spread: 0.04)",
                      change, R"(}
data: {questions: {examples: 400}}
jobs:
  - {name: tune, every: 2h, job: {required_labels: [group=orin], finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
  - {name: check, every: 2h, job: {required_labels: [group=pi], evaluate: {model: distilgpt2, data: questions, sequence_length: 384}}}
)");
}

Coverage CoverageOf(const std::string& text) {
  Coverage sum;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    sum.Add(FiguresOf(text, "fastest", seed).coverage);
  }
  return sum;
}

double Percent(int64_t inside, int64_t runs) {
  return 100.0 * static_cast<double>(inside) / static_cast<double>(std::max<int64_t>(runs, 1));
}

// Nine runs in ten end within their interval, whatever becomes of the boards.
TEST(CoverageTest, IntervalsHoldOnBoardsThatChange) {
  for (const auto& [change, at_one_moment] : {std::pair{"", false},
                                              {", step: 1.5", true},
                                              {", drift: 1.5", false},
                                              {", throttle: 1.3", false},
                                              {", software: 1.4", true}}) {
    SCOPED_TRACE(change);
    const Coverage coverage = CoverageOf(ChangingBoards(change));
    EXPECT_GT(coverage.runs, 300);
    EXPECT_GE(Percent(coverage.inside, coverage.runs), 85);
    EXPECT_EQ(coverage.runs_after_change > 100, at_one_moment);
    if (at_one_moment) {
      EXPECT_GE(Percent(coverage.inside_after_change, coverage.runs_after_change), 85);
    }
  }
}

// The planted fault: an old row outlives the change of its device. The spread of both parts widens
// its interval, so its mean tells.
TEST(CoverageTest, RowsThatOutliveAChangeAreSeen) {
  const std::string text = ChangingBoards(", step: 1.5");
  const auto error_after = [&text] {
    const Coverage coverage = CoverageOf(text);
    return coverage.log_error_after_change / static_cast<double>(coverage.runs_after_change);
  };
  const double right = error_after();
  TurnOnFaultPoint("rows before a change");
  const double broken = error_after();
  TurnOnFaultPoint("");
  EXPECT_LT(right, 0.06);
  EXPECT_GT(broken, 1.5 * right);
}

}  // namespace
}  // namespace wattle::sim
