// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Forecasts of the sun that a scenario pushes: how far plans count on them, and what that changes.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"
#include "tests/simulation/scenario_for_test.h"

namespace wattle::sim {
namespace {

constexpr char kNobody[] = "";
constexpr char kGood[] = ", forecast_error: 0";
constexpr char kBad[] = ", forecast_error: 2";

// Sun from 6 to 18 of each day, by day from 0 on.
using SunOfDay = std::function<int(int day)>;

// Bright and dull days alternate: the days before predict the opposite of the next one.
int Alternating(int day) {
  return day % 2 == 0 ? 700 : 90;
}
int Steady(int /*day*/) {
  return 400;
}

absl::StatusOr<Scenario> ParseUnderSun(const std::string& text, const SunOfDay& sun) {
  return ParseScenario(text, "test.yaml", {}, [&sun](const std::string& /*name*/) {
    std::string hours = "hour,w_per_m2\n";
    for (int hour = 0; hour < 240; ++hour) {
      const bool is_day = hour % 24 >= 6 && hour % 24 < 18;
      absl::StrAppend(&hours, hour, ",", is_day ? sun(hour / 24) : 0, "\n");
    }
    return absl::StatusOr<std::string>(hours);
  });
}

struct Outcome {
  RunFigures figures;
  std::vector<PackSample> pack;
};

// A run of work that no pack holds without sun, every day before dawn.
Outcome RunUnder(const SunOfDay& sun, const std::string& forecast, uint64_t seed = 1,
                 const std::string& pack = "pack_wh: 90, panel_watts: 20") {
  const auto scenario = ParseUnderSun(absl::StrReplaceAll(R"(duration: 10d
fleet:
  - {name: mast, class: jetson-orin-nano, idle_watts: 2, PACK, charge: 0.7, reserve: 0.3, policy: {pause_seconds_max: 600}}
sun: {file: sun.csvFORECAST}
data: {questions: {examples: 40000}}
jobs:
  - {name: tune, at: 2h, every: 24h, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
)",
                                                          {{"PACK", pack}, {"FORECAST", forecast}}),
                                      sun);
  EXPECT_THAT(scenario, IsOk());
  Recording recording;
  const auto figures = RunScenario(*scenario, "ours", seed, nullptr, &recording);
  EXPECT_THAT(figures, IsOk());
  EXPECT_EQ((*figures)[Figure::kPlanBreaches], 0) << figures->plan_breach;
  EXPECT_EQ((*figures)[Figure::kReserveBreaches], 0);
  return {*figures, recording.boards[0].pack};
}

// Runs that several tests share.
const Outcome& WithoutForecast() {
  static const auto* const kRun = new Outcome(RunUnder(Alternating, kNobody));
  return *kRun;
}
const Outcome& WithGoodForecast() {
  static const auto* const kRun = new Outcome(RunUnder(Alternating, kGood));
  return *kRun;
}

// For the hours from 8 to 16 of these days: the error of the planner's expectation of the sun.
double MeanError(const std::vector<PackSample>& pack, int first_day, int end_day) {
  double sum = 0.0;
  int count = 0;
  for (const PackSample& sample : pack) {
    const double hour = std::fmod(sample.at_seconds / kSecondsOfHour, 24.0);
    const double day = std::floor(sample.at_seconds / kSecondsOfDay);
    if (hour >= 8.0 && hour < 16.0 && day >= first_day && day < end_day && sample.expected_sun) {
      sum += std::abs((*sample.expected_sun - sample.sun).value());
      ++count;
    }
  }
  EXPECT_GT(count, 0);
  return sum / count;
}

// On so small a pack a run waits for a bright day in any case, so as many jobs end.
TEST(ForecastsTest, AGoodOneIsBelievedWhereTheDaysBeforeMislead) {
  const Outcome& without = WithoutForecast();
  const Outcome& with = WithGoodForecast();
  EXPECT_LT(MeanError(with.pack, 2, 10), 0.3 * MeanError(without.pack, 2, 10));
  EXPECT_EQ(with.figures[Figure::kDone], 8);
  EXPECT_EQ(without.figures[Figure::kDone], 8);
}

// A larger pack: with the forecast the runs begin where they can go on to their end.
TEST(ForecastsTest, WithAGoodOneRunsAreWholeThatWouldRest) {
  const std::string large = "pack_wh: 150, panel_watts: 30";
  const Outcome without = RunUnder(Alternating, kNobody, 1, large);
  const Outcome with = RunUnder(Alternating, kGood, 1, large);
  // docs/guide/simulate.md has these numbers.
  EXPECT_EQ(with.figures[Figure::kDone], 10);
  EXPECT_EQ(without.figures[Figure::kDone], 10);
  EXPECT_EQ(with.figures[Figure::kRests], 0);
  EXPECT_EQ(without.figures[Figure::kRests], 4);
  EXPECT_EQ(with.figures[Figure::kWholeRuns], 9);
  EXPECT_EQ(without.figures[Figure::kWholeRuns], 5);
}

// A forecast must prove itself in hours whose sun was known before, so on the first day it moves
// nothing, however right it is.
TEST(ForecastsTest, NoneIsBelievedOnTheFirstDay) {
  const Outcome& without = WithoutForecast();
  const Outcome& with = WithGoodForecast();
  ASSERT_EQ(without.pack.size(), with.pack.size());
  for (size_t i = 1; with.pack[i].at_seconds < 1.3 * kSecondsOfDay; ++i) {
    SCOPED_TRACE(with.pack[i].at_seconds / kSecondsOfHour);
    EXPECT_NEAR(with.pack[i].charge.value(), without.pack[i].charge.value(), 0.001);
    EXPECT_NEAR(with.pack[i].expected_sun.value_or(Watts(-1)).value(),
                without.pack[i].expected_sun.value_or(Watts(-1)).value(), 0.1);
    EXPECT_EQ(with.pack[i].told_sun, with.pack[i].sun) << "it was right";
    EXPECT_EQ(without.pack[i].told_sun, std::nullopt);
  }
}

TEST(ForecastsTest, AVeryWrongOneCostsNoJobWhereTheDaysBeforeMislead) {
  const Outcome& without = WithoutForecast();
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Outcome with = RunUnder(Alternating, kBad, seed);
    EXPECT_EQ(with.figures[Figure::kDone], 8);
    EXPECT_EQ(without.figures[Figure::kDone], 8);
    EXPECT_LE(with.figures[Figure::kGuardStops], without.figures[Figure::kGuardStops] + 1);
  }
}

// Under steady sun the days before are right. A forecast with some days four times as bright and
// others dark gets hardly any trust, even after its first days.
TEST(ForecastsTest, AVeryWrongOneDoesNoLastingHarm) {
  const Outcome without = RunUnder(Steady, kNobody);
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Outcome with = RunUnder(Steady, kBad, seed);
    double told_error = 0.0;
    for (const PackSample& sample : with.pack) {
      if (sample.told_sun) {
        told_error += std::abs((*sample.told_sun - sample.sun).value());
      }
    }
    EXPECT_GT(told_error / static_cast<double>(with.pack.size()), 1.0) << "it is very wrong";
    EXPECT_LT(MeanError(with.pack, 5, 10), MeanError(without.pack, 5, 10) + 0.3);
    EXPECT_EQ(with.figures[Figure::kDone], 7);
    EXPECT_EQ(without.figures[Figure::kDone], 7);
    EXPECT_EQ(with.figures[Figure::kFailed], without.figures[Figure::kFailed]);
    EXPECT_LE(with.figures[Figure::kGuardStops], without.figures[Figure::kGuardStops] + 1);
  }
}

}  // namespace
}  // namespace wattle::sim
