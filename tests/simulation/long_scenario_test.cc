// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Scenarios that take minutes under sanitizers: every file of deploy/scenarios under every policy,
// the share of runs within their intervals, and attempts that pause for hours.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"
#include "tests/simulation/fault_points.h"
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

// On their first day the masts have seen too little sun to predict the end of a run that rests.
// Such a run waits, and its job does not fail at once.
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
// its interval, so the test checks its mean.
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

// A board that works only from 7 to 19, a long job from `long_at` on, and a short one whose
// deadline it can meet if the long one leaves for it.
double MissedByDay(const std::string& policy, const std::string& jobs) {
  return FiguresOf(absl::StrCat(R"(
duration: 3d
fleet:
  - {name: day, class: jetson-orin-nano, policy: {)",
                                policy, R"(}}
data: {long: {examples: 68000}, longer: {examples: 48000}, short: {examples: 15000}, least: {examples: 6000}}
jobs:
)",
                                jobs))[Figure::kMissed];
}

// Behind the long job the short one would pause for a night. From now on it would not, so the
// deadline is no hopeless one.
TEST(PausesTest, ADeadlineIsMetThatOnlyThePauseOfALaterStartWouldMiss) {
  EXPECT_EQ(MissedByDay("work_windows: ['07:00-19:00']", R"(
  - {name: long, at: 7h, job: {finetune: {model: gpt2, data: long, epochs: 1, sequence_length: 384}}}
  - {name: urgent, at: 12h, job: {priority: 100, deadline_seconds: 28800, finetune: {model: distilgpt2, data: short, sequence_length: 384}}}
)"),
            0);
}

// The running attempt will pause for the night, or until the next day's budget. Five hours are left
// for the short job before that.
TEST(PausesTest, ADeadlineIsMetBeforeTheAttemptPauses) {
  const auto jobs = [](double deadline_seconds) {
    return absl::StrCat(R"(
  - {name: long, at: 13h, job: {finetune: {model: gpt2, data: longer, epochs: 1, sequence_length: 384}}}
  - {name: q, at: 14h, job: {priority: 10, deadline_seconds: )",
                        deadline_seconds,
                        ", evaluate: {model: distilgpt2, data: least, sequence_length: 384}}}\n");
  };
  for (const double deadline_seconds : {60'000.0, 64'000.0, 66'600.0, 68'000.0}) {
    EXPECT_EQ(MissedByDay("work_windows: ['07:00-19:00']", jobs(deadline_seconds)), 0)
        << deadline_seconds;
  }
  EXPECT_EQ(MissedByDay("daily_energy_budget_wh: 60", jobs(40'000)), 0);
}

// With 20 W two boards cannot work at once. While one pauses for the night the other one works.
TEST(PausesTest, APausedAttemptLeavesItsWattsToOtherBoards) {
  const RunFigures figures = FiguresOf(R"(
duration: 2d
fleet:
  - {name: day, class: jetson-orin-nano, labels: [who=day], policy: {work_windows: ['07:00-19:00'], power_group: {name: s, power_cap_watts: 20}}}
  - {name: all, class: jetson-orin-nano, labels: [who=all], policy: {power_group: {name: s, power_cap_watts: 20}}}
data: {long: {examples: 68000}, short: {examples: 5000}}
jobs:
  - {name: long, at: 15h, job: {required_labels: [who=day], finetune: {model: gpt2, data: long, epochs: 1, sequence_length: 384}}}
  - {name: q, at: 20h, job: {required_labels: [who=all], finetune: {model: distilgpt2, data: short, sequence_length: 384}}}
)");
  EXPECT_EQ(figures[Figure::kDone], 2);
  EXPECT_LT(figures[Figure::kWaitMeanHours], 0.5);
}

// The board of the day has an hour and a half left when its window closes. A job of the other one
// on their pack leaves it the charge for that.
TEST(PausesTest, APausedAttemptFindsTheChargeThatItNeeds) {
  const RunFigures figures = FiguresOf(R"(
duration: 3d
fleet:
  - {name: day, class: jetson-orin-nano, idle_watts: 2, pack_wh: 300, charge: 0.8, reserve: 0.3, panel_watts: 6, labels: [who=day], policy: {work_windows: ['07:00-19:00'], power_group: {name: s, shared_pack: true}}}
  - {name: all, class: jetson-orin-nano, idle_watts: 2, pack_wh: 300, charge: 0.8, reserve: 0.3, labels: [who=all], policy: {power_group: {name: s, shared_pack: true}}}
sun: {file: sun.csv, performance: 0.8}
data: {long: {examples: 33000}, other: {examples: 22000}}
jobs:
  - {name: long, at: 15h, job: {required_labels: [who=day], finetune: {model: gpt2, data: long, epochs: 1, sequence_length: 384}}}
  - {name: q, at: 20h, job: {priority: -10, required_labels: [who=all], finetune: {model: distilgpt2, data: other, sequence_length: 384}}}
)");
  EXPECT_GE(figures[Figure::kDone], 1);
  EXPECT_EQ(figures[Figure::kGuardStops], 1) << "the window's alone";
}

}  // namespace
}  // namespace wattle::sim
