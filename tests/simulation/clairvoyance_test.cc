// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Nobody in a simulated fleet knows what comes. Two scenarios are the same until a moment; behind
// it the arrivals, deadlines, sun and cuts of one are drawn anew. Until that moment every durable
// event of both runs is the same, byte for byte: all that was decided, and all that it was decided
// from.
#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "sim/random.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"

namespace wattle::sim {
namespace {

constexpr double kDurationHours = 48.0;
constexpr uint64_t kSeeds = 4;

constexpr char kFleet[] = R"(
duration: 48h
fleet:
  - {name: mast, class: jetson-orin-nano, count: 2, pack_wh: 60, charge: 0.6, reserve: 0.3, panel_watts: 40}
  - {name: hut, class: jetson-xavier-nx}
sun: {file: sun.csv}
rates: {seconds_spread: 0.2, watts_spread: 0.1}
data: {questions: {examples: 2000}}
jobs:
  - {name: tune, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
)";

// Draws all that the scenario holds from this hour on.
void DrawFrom(double hour, Random& random, Scenario& scenario) {
  for (size_t i = static_cast<size_t>(hour); i < scenario.sun.size(); ++i) {
    const size_t of_day = i % kHoursOfDay;
    scenario.sun[i] = of_day >= 6 && of_day < 18 ? random.Between(0.0, 0.9) : 0.0;
  }
  std::vector<Arrival>& arrivals = scenario.jobs[0].arrivals;
  std::erase_if(arrivals,
                [hour](const Arrival& one) { return one.at_seconds >= hour * kSecondsOfHour; });
  for (int i = 0; i < 10; ++i) {
    arrivals.push_back({.at_seconds = random.Between(hour, kDurationHours) * kSecondsOfHour,
                        .deadline_seconds =
                            random.Chance(0.5) ? 0.0 : random.Between(2.0, 20.0) * kSecondsOfHour});
  }
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at_seconds < b.at_seconds; });
  std::erase_if(scenario.cuts,
                [hour](const LinkCut& cut) { return cut.begin_seconds >= hour * kSecondsOfHour; });
  for (LinkCut& cut : scenario.cuts) {
    if (cut.end_seconds > hour * kSecondsOfHour) {
      cut.end_seconds = random.Between(hour, kDurationHours) * kSecondsOfHour;
    }
  }
  const double begin = random.Between(hour, kDurationHours) * kSecondsOfHour;
  scenario.cuts.push_back(
      {.group = "mast",
       .begin_seconds = begin,
       .end_seconds = std::min(begin + 3.0 * kSecondsOfHour, kDurationHours * kSecondsOfHour)});
}

class NoClairvoyanceTest : public testing::TestWithParam<std::string> {};

TEST_P(NoClairvoyanceTest, WhatComesLaterChangesNothingBefore) {
  const auto parsed = ParseScenario(kFleet, "test.yaml", {}, [](const std::string& /*name*/) {
    std::string sun = "hour,w_per_m2\n";
    for (int hour = 0; hour < static_cast<int>(kDurationHours); ++hour) {
      sun += std::to_string(hour) + (hour % 24 == 12 ? ",600\n" : ",0\n");
    }
    return absl::StatusOr<std::string>(sun);
  });
  ASSERT_THAT(parsed, IsOk());
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Random random(seed);
    Scenario scenario = *parsed;
    scenario.jobs[0].arrivals.clear();
    DrawFrom(0.0, random, scenario);
    Scenario other = scenario;
    const auto hour = 12.0 + random.Below(24);
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", drawn anew from hour " << hour);
    DrawFrom(hour, random, other);
    Recording first;
    Recording second;
    ASSERT_THAT(RunScenario(scenario, GetParam(), seed, nullptr, &first), IsOk());
    ASSERT_THAT(RunScenario(other, GetParam(), seed, nullptr, &second), IsOk());
    ASSERT_EQ(first.events.size(), second.events.size());
    for (size_t i = 0;
         i < first.events.size() && first.events[i].at_seconds <= hour * kSecondsOfHour; ++i) {
      ASSERT_EQ(first.events[i].hash, second.events[i].hash)
          << "by hour " << first.events[i].at_seconds / kSecondsOfHour;
    }
    EXPECT_NE(first.events.back().hash, second.events.back().hash);
  }
}

INSTANTIATE_TEST_SUITE_P(Planners, NoClairvoyanceTest, testing::ValuesIn(PolicyNames()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace wattle::sim
