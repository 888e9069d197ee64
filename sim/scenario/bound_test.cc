// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The bound against sums by hand and against all that policies reach, and the policy lsa.
#include "sim/scenario/bound.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "sim/random.h"
#include "sim/scenario/scenario_file.h"

namespace wattle::sim {
namespace {

using testing::HasSubstr;

absl::StatusOr<Scenario> ParseForBound(const std::string& text) {
  return ParseScenario(text, "test.yaml", {}, [](const std::string& /*name*/) {
    std::string sun = "hour,w_per_m2\n";
    for (int hour = 0; hour < 96; ++hour) {
      absl::StrAppend(&sun, hour, ",", hour % 24 >= 6 && hour % 24 < 18 ? 600 : 0, "\n");
    }
    return absl::StatusOr<std::string>(sun);
  });
}

// Of a build with a solver.
class SolvedBoundTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!CheckBound().ok()) {
      GTEST_SKIP() << "this build has no solver of linear programs";
    }
  }
};

double ValueOf(const absl::StatusOr<RunFigures>& figures, Figure figure) {
  EXPECT_THAT(figures, IsOk());
  return figures.ok() ? (*figures)[figure] : std::nan("");
}

// Jobs of about 10 min on the Orin Nano. count: of each group.
std::string Site(const std::string& board, int count, const std::string& job_fields) {
  return absl::StrCat(
      "duration: 12h\nfleet:\n  - {name: a, class: jetson-orin-nano", board,
      "}\ndata: {questions: {examples: 1200}}\njobs:\n  - {name: tune, count: ", count, ", job: {",
      job_fields, "finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}\n");
}

TEST_F(SolvedBoundTest, TimeBoundsTheJobsOfABoardOnMains) {
  const auto scenario = ParseForBound(Site("", 200, ""));
  ASSERT_THAT(scenario, IsOk());
  const double seconds = TruthOf(*scenario, 1)[0].boards[0].jobs[0].seconds;
  const auto bound = BoundOf(*scenario, 1);
  EXPECT_EQ(ValueOf(bound, Figure::kDone), std::floor(12 * 3600 / seconds));
  EXPECT_EQ(ValueOf(bound, Figure::kMissed), 0);
  EXPECT_TRUE(std::isnan(ValueOf(bound, Figure::kWorkWattHours)));
  const auto few = ParseForBound(Site("", 5, ""));
  ASSERT_THAT(few, IsOk());
  EXPECT_EQ(ValueOf(BoundOf(*few, 1), Figure::kDone), 5);
}

TEST_F(SolvedBoundTest, ChargeBoundsTheJobsOfABoardWithoutSun) {
  const auto scenario =
      ParseForBound(Site(", pack_wh: 80, charge: 0.9, reserve: 0.4, gauge_error: 0", 200, ""));
  ASSERT_THAT(scenario, IsOk());
  const JobTruth job = TruthOf(*scenario, 1)[0].boards[0].jobs[0];
  // What is above the reserve feeds the board while it works; idle draw after that may take the
  // reserve.
  const double wh_of_job = ToWattHours(job.power * absl::Seconds(job.seconds));
  EXPECT_EQ(ValueOf(BoundOf(*scenario, 1), Figure::kDone), std::floor(0.5 * 80 / wh_of_job));
}

constexpr char kOnePack[] =
    ", count: 2, policy: {power_group: {name: north, shared_pack: true}}, gauge_error: 0";

TEST_F(SolvedBoundTest, BoardsOfOnePackHaveItsChargeOnce) {
  const auto scenario = ParseForBound(
      Site(absl::StrCat(kOnePack, ", pack_wh: 320, charge: 0.9, reserve: 0.4"), 200, ""));
  ASSERT_THAT(scenario, IsOk());
  const JobTruth job = TruthOf(*scenario, 1)[0].boards[0].jobs[0];
  const double wh_of_job = ToWattHours(job.power * absl::Seconds(job.seconds));
  // Both boards work at once, so no idle draw is lost.
  EXPECT_EQ(ValueOf(BoundOf(*scenario, 1), Figure::kDone), std::floor(0.5 * 320 / wh_of_job));
}

TEST_F(SolvedBoundTest, NoPolicyExceedsItOnOnePack) {
  for (const double charge : {0.6, 0.9}) {
    std::string text = Site(absl::StrCat(kOnePack, ", pack_wh: 90, reserve: 0.2, panel_watts: 60",
                                         ", charge: ", charge),
                            100, "");
    text += "sun: {file: sun.csv}\n";
    const auto scenario = ParseForBound(text);
    ASSERT_THAT(scenario, IsOk());
    const double bound = ValueOf(BoundOf(*scenario, 1), Figure::kDone);
    const double done = ValueOf(RunScenario(*scenario, "fastest", 1), Figure::kDone);
    EXPECT_LE(done, bound) << charge;
    EXPECT_GE(done, 0.5 * bound) << charge;
  }
}

TEST_F(SolvedBoundTest, DeadlinesBoundWhatIsMissed) {
  const auto scenario = ParseForBound(Site("", 7, "deadline_seconds: 3600, "));
  ASSERT_THAT(scenario, IsOk());
  const double seconds = TruthOf(*scenario, 1)[0].boards[0].jobs[0].seconds;
  ASSERT_GT(7 * seconds, 3600);
  // A deadline at the end of an hour leaves the slot after it to nobody but by the slack.
  const double in_time = ValueOf(BoundOf(*scenario, 1), Figure::kDone);
  EXPECT_GE(in_time, std::floor(3600 / seconds));
  EXPECT_EQ(ValueOf(BoundOf(*scenario, 1), Figure::kMissed), 7 - in_time);
}

// One board and jobs of about 10 min: `first` jobs of priority 10 before one of `priority`.
absl::StatusOr<Scenario> OneBehind(int first, int priority) {
  const std::string work =
      "finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}\n";
  return ParseForBound(
      absl::StrCat("duration: 12h\nfleet:\n  - {name: a, class: jetson-orin-nano}\n"
                   "data: {questions: {examples: 1200}}\njobs:\n  - {name: many, count: ",
                   first, ", job: {priority: 10, ", work,
                   "  - {name: last, job: {priority: ", priority, ", ", work));
}

// The waits of the jobs before do not matter here: 0.
int StarvedIfTheLastWaits(int first, int priority, double hours) {
  const auto scenario = OneBehind(first, priority);
  EXPECT_THAT(scenario, IsOk());
  std::vector<double> waits(static_cast<size_t>(first) + 1, 0.0);
  waits.back() = hours;
  const auto starved = StarvedJobs(*scenario, 1, waits);
  EXPECT_THAT(starved, IsOk());
  return starved.value_or(-1);
}

TEST_F(SolvedBoundTest, AJobStarvesIfTheBoundEndsItAndAllBeforeItInAThirdOfItsWait) {
  EXPECT_EQ(StarvedIfTheLastWaits(/*first=*/3, /*priority=*/10, 11.0), 1);
  EXPECT_EQ(StarvedIfTheLastWaits(/*first=*/3, /*priority=*/10, 2.5), 0) << "no whole hour";
  EXPECT_EQ(StarvedIfTheLastWaits(/*first=*/40, /*priority=*/10, 11.0), 0) << "7 h of work before";
  EXPECT_EQ(StarvedIfTheLastWaits(/*first=*/40, /*priority=*/0, 11.0), 0);
  EXPECT_EQ(StarvedIfTheLastWaits(/*first=*/40, /*priority=*/20, 11.0), 1) << "nothing before";
}

TEST(BoundTest, WithoutASolverItIsRefusedInOneLine) {
  const auto scenario = ParseForBound(Site("", 1, ""));
  ASSERT_THAT(scenario, IsOk());
  EXPECT_THAT(BoundOf(*scenario, 1, nullptr).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("policy bound: this program was built without a solver of linear "
                                 "programs; leave bound out")));
}

TEST(BoundTest, ASolverThatLiesIsNotBelieved) {
  const auto scenario = ParseForBound(Site("", 1, ""));
  ASSERT_THAT(scenario, IsOk());
  static constexpr solve::Solver kLiar = {
      .name = "liar", .solve = [](const solve::LinearProgram& program, const solve::Budget&) {
        solve::Solution solution;
        solution.columns.assign(program.columns().size(), -5.0);
        return absl::StatusOr<solve::Solution>(solution);
      }};
  EXPECT_FALSE(BoundOf(*scenario, 1, &kLiar).ok());
}

// Boards, packs, sun, jobs and deadlines of a seed. One draw in each statement, so that every
// compiler draws in the same order.
std::string DrawnScenario(uint64_t seed) {
  Random random(seed);
  const char* const classes[] = {"jetson-orin-nano", "jetson-xavier-nx"};
  std::string text = "duration: 9h\nfleet:\n";
  const bool is_plain =
      seed % 2 == 0;  // One board on mains, which policies use nearly all the time.
  const int boards = is_plain ? 1 : 1 + random.Below(2);
  for (int i = 0; i < boards; ++i) {
    absl::StrAppend(&text, "  - {name: b", i, ", class: ", classes[random.Below(2)]);
    if (!is_plain && random.Chance(0.7)) {
      absl::StrAppend(&text, ", pack_wh: ", 30 + random.Below(60));
      absl::StrAppend(&text, ", charge: ", random.Between(0.2, 1.0));
      absl::StrAppend(&text, ", reserve: ", random.Between(0.0, 0.4));
      absl::StrAppend(&text, ", gauge_error: ", random.Chance(0.5) ? 0.0 : 0.02);
      absl::StrAppend(&text, ", panel_watts: ", random.Below(50));
    }
    text += "}\n";
  }
  text += "sun: {file: sun.csv, spread: 0.2}\n";
  absl::StrAppend(&text, "rates: {seconds_spread: 0.3, runs_spread: 0.1",
                  is_plain ? "" : ", drift: 1.2, step: 0.7", "}\n");
  absl::StrAppend(&text, "data: {questions: {examples: ", 1500 + random.Below(1000), "}}\njobs:\n");
  const char* const work =
      "finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}\n";
  // More than the boards can do, so that the policies come near the bound.
  absl::StrAppend(&text, "  - {name: free, count: 60, job: {", work);
  absl::StrAppend(&text,
                  "  - {name: due, every: 2h, job: {deadline_seconds: ", 1800 + random.Below(9000),
                  ", ", work);
  return text;
}

TEST_F(SolvedBoundTest, NoPolicyExceedsIt) {
  for (uint64_t seed = 20261126; seed < 20261126 + 4; ++seed) {
    const std::string text = DrawnScenario(seed);
    SCOPED_TRACE(absl::StrCat("DrawnScenario(", seed, "):\n", text));
    const auto scenario = ParseForBound(text);
    ASSERT_THAT(scenario, IsOk());
    const auto bound = BoundOf(*scenario, seed);
    double most = 0;
    for (const char* policy : {"ours", "lsa"}) {
      const auto run = RunScenario(*scenario, policy, seed);
      EXPECT_LE(ValueOf(run, Figure::kDone), ValueOf(bound, Figure::kDone)) << policy;
      EXPECT_GE(ValueOf(run, Figure::kMissed), ValueOf(bound, Figure::kMissed)) << policy;
      most = std::max(most, ValueOf(run, Figure::kDone));
    }
    if (seed % 2 == 0) {
      EXPECT_GE(most, 0.6 * ValueOf(bound, Figure::kDone)) << "the bound says something";
    }
  }
}

// A site on which time, charge, sun and deadlines all bind, and what may be better about it.
struct Better {
  int panel_watts = 20;
  int deadline_seconds = 7200;
  int boards = 1;
  int examples = 1500;
};

double BoundOn(const Better& of, Figure figure) {
  const auto scenario = ParseForBound(absl::StrCat(
      "duration: 12h\nfleet:\n  - {name: a, class: jetson-orin-nano, count: ", of.boards,
      ", pack_wh: 50, charge: 0.6, reserve: 0.2, panel_watts: ", of.panel_watts,
      "}\nsun: {file: sun.csv}\ndata: {questions: {examples: ", of.examples,
      "}}\njobs:\n  - {name: due, every: 1h, count: 3, job: {deadline_seconds: ",
      of.deadline_seconds,
      ", finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}\n"
      "  - {name: soon, count: 30, job: {deadline_seconds: ",
      of.deadline_seconds,
      ", finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}\n"));
  EXPECT_THAT(scenario, IsOk());
  return scenario.ok() ? ValueOf(BoundOf(*scenario, 1), figure) : std::nan("");
}

TEST_F(SolvedBoundTest, WhatIsBetterNeverMakesItWorse) {
  const Better betters[] = {
      {.panel_watts = 40}, {.deadline_seconds = 4 * 7200}, {.boards = 2}, {.examples = 750}};
  const double done = BoundOn({}, Figure::kDone);
  const double missed = BoundOn({}, Figure::kMissed);
  EXPECT_GT(missed, 5);
  int more = 0;
  for (const Better& better : betters) {
    SCOPED_TRACE(&better - betters);
    EXPECT_GE(BoundOn(better, Figure::kDone), done);
    EXPECT_LE(BoundOn(better, Figure::kMissed), missed);
    more += BoundOn(better, Figure::kDone) > done ? 1 : 0;
  }
  EXPECT_GE(more, 3) << "the changes change nothing";
}

// Three hours until the deadline, ten minutes of work, and a pack that would feed less than the
// three hours.
TEST(LazyTest, AJobWaitsForItsEnergyAndNotLongerThanItsDeadlineAllows) {
  const auto pack = ParseForBound(
      Site(", pack_wh: 40, charge: 0.7, reserve: 0.3", 1, "deadline_seconds: 10800, "));
  ASSERT_THAT(pack, IsOk());
  const auto edf = RunScenario(*pack, "edf", 1);
  const auto lsa = RunScenario(*pack, "lsa", 1);
  EXPECT_EQ(ValueOf(edf, Figure::kDone), 1);
  EXPECT_EQ(ValueOf(lsa, Figure::kDone), 1);
  EXPECT_EQ(ValueOf(lsa, Figure::kMissed), 0);
  EXPECT_LT(ValueOf(edf, Figure::kWaitMeanHours), 0.3);
  EXPECT_GT(ValueOf(lsa, Figure::kWaitMeanHours), 0.8);
  EXPECT_LT(ValueOf(lsa, Figure::kWaitMeanHours), 2.9);
}

TEST(LazyTest, OnMainsAndWithAFullPackItIsEdf) {
  for (const char* board : {"", ", pack_wh: 4000"}) {
    const auto scenario = ParseForBound(Site(board, 3, "deadline_seconds: 10800, "));
    ASSERT_THAT(scenario, IsOk());
    EXPECT_EQ(ValueOf(RunScenario(*scenario, "lsa", 1), Figure::kWaitMeanHours),
              ValueOf(RunScenario(*scenario, "edf", 1), Figure::kWaitMeanHours));
  }
}

}  // namespace
}  // namespace wattle::sim
