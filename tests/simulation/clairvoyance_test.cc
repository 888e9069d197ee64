// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Nothing in a simulated fleet may depend on the future. Two scenarios are equal until a moment;
// after it the arrivals, deadlines, sun, links and cuts of one are drawn again. Until that moment
// every durable event of both runs must be equal, byte for byte: all decisions and all their
// inputs. A forecast that the scenario pushes covers two days, and no hour after them.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "sim/random.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"

namespace wattle::sim {
namespace {

constexpr int kSunHours = 120;
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

void DrawSunFrom(size_t hour, Random& random, Scenario& scenario) {
  for (size_t i = hour; i < scenario.sun.size(); ++i) {
    const size_t of_day = i % kHoursOfDay;
    scenario.sun[i] = of_day >= 6 && of_day < 18 ? random.Between(0.0, 0.9) : 0.0;
  }
}

// Draws all that the scenario holds from this hour on, but for the sun.
void DrawFrom(double hour, Random& random, Scenario& scenario) {
  std::vector<double>& link = scenario.fleet[0].link_by_hour;
  link.resize(scenario.sun.size());
  for (size_t i = static_cast<size_t>(hour); i < link.size(); ++i) {
    link[i] = std::exp(random.Between(std::log(1e3), std::log(1e7)));
  }
  std::vector<Arrival>& arrivals = scenario.jobs[0].arrivals;
  std::erase_if(arrivals,
                [hour](const Arrival& one) { return one.at_seconds >= hour * kSecondsOfHour; });
  for (int i = 0; i < 10; ++i) {
    arrivals.push_back(
        {.at_seconds =
             random.Between(hour, scenario.duration_seconds / kSecondsOfHour) * kSecondsOfHour,
         .deadline_seconds =
             random.Chance(0.5) ? 0.0 : random.Between(2.0, 20.0) * kSecondsOfHour});
  }
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at_seconds < b.at_seconds; });
  std::erase_if(scenario.cuts,
                [hour](const LinkCut& cut) { return cut.begin_seconds >= hour * kSecondsOfHour; });
  for (LinkCut& cut : scenario.cuts) {
    if (cut.end_seconds > hour * kSecondsOfHour) {
      cut.end_seconds =
          random.Between(hour, scenario.duration_seconds / kSecondsOfHour) * kSecondsOfHour;
    }
  }
  const double begin =
      random.Between(hour, scenario.duration_seconds / kSecondsOfHour) * kSecondsOfHour;
  scenario.cuts.push_back(
      {.group = "mast",
       .begin_seconds = begin,
       .end_seconds = std::min(begin + 3.0 * kSecondsOfHour, scenario.duration_seconds)});
}

absl::StatusOr<Scenario> ParseFleet(const Changes& changes) {
  return ParseScenario(kFleet, "test.yaml", changes, [](const std::string& /*name*/) {
    std::string sun = "hour,w_per_m2\n";
    for (int hour = 0; hour < kSunHours; ++hour) {
      sun += std::to_string(hour) + (hour % 24 == 12 ? ",600\n" : ",0\n");
    }
    return absl::StatusOr<std::string>(sun);
  });
}

// The events of a run.
std::vector<EventsUntil> EventsOf(const Scenario& scenario, const std::string& policy,
                                  uint64_t seed) {
  Recording recording;
  EXPECT_THAT(RunScenario(scenario, policy, seed, nullptr, &recording), IsOk());
  return recording.events;
}

// The first hour by which the runs differ.
double HourOfDifference(const std::vector<EventsUntil>& first,
                        const std::vector<EventsUntil>& second) {
  EXPECT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i].hash != second[i].hash) {
      return first[i].at_seconds / kSecondsOfHour;
    }
  }
  return std::numeric_limits<double>::infinity();
}

class NoClairvoyanceTest : public testing::TestWithParam<std::string> {};

TEST_P(NoClairvoyanceTest, WhatComesLaterChangesNothingBefore) {
  const auto parsed = ParseFleet({});
  ASSERT_THAT(parsed, IsOk());
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Random random(seed);
    Scenario scenario = *parsed;
    scenario.jobs[0].arrivals.clear();
    DrawSunFrom(0, random, scenario);
    DrawFrom(0.0, random, scenario);
    Scenario other = scenario;
    const int hour = 12 + random.Below(24);
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", drawn anew from hour " << hour);
    DrawSunFrom(static_cast<size_t>(hour), random, other);
    DrawFrom(hour, random, other);
    const double differ =
        HourOfDifference(EventsOf(scenario, GetParam(), seed), EventsOf(other, GetParam(), seed));
    EXPECT_GT(differ, hour);
    EXPECT_LT(differ, std::numeric_limits<double>::infinity());
  }
}

// A forecast is announced true sun: after its last hour the sun is unknown too.
TEST(ForecastClairvoyanceTest, NobodyKnowsTheSunBehindTheDaysThatWereTold) {
  const auto parsed = ParseFleet({.set = {"duration=5d"}, .add = {}});
  ASSERT_THAT(parsed, IsOk());
  for (uint64_t seed = 1; seed <= kSeeds / 2; ++seed) {
    Random random(seed);
    Scenario scenario = *parsed;
    scenario.forecast_error = 0.3;
    scenario.jobs[0].arrivals.clear();
    DrawSunFrom(0, random, scenario);
    DrawFrom(0.0, random, scenario);
    const int hour = 24 + random.Below(48);
    const size_t untold = (static_cast<size_t>(hour) / kHoursOfDay + 2) * kHoursOfDay;
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", drawn anew from hour " << hour);
    const std::vector<EventsUntil> events = EventsOf(scenario, "ours", seed);
    Scenario other = scenario;
    DrawSunFrom(untold, random, other);
    DrawFrom(hour, random, other);
    EXPECT_GT(HourOfDifference(events, EventsOf(other, "ours", seed)), hour);
    Scenario told = scenario;
    DrawSunFrom(untold - kHoursOfDay, random, told);
    EXPECT_LE(HourOfDifference(events, EventsOf(told, "ours", seed)), hour)
        << "the forecast tells of tomorrow";
  }
}

INSTANTIATE_TEST_SUITE_P(Planners, NoClairvoyanceTest, testing::ValuesIn(PolicyNames()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace wattle::sim
