// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/rules.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/fleet_plan/check_fleet_plan.h"
#include "scheduler/fleet_plan/fleet.h"

namespace wattle::fleet_plan {
namespace {

using timetable::kHour;

// One board on mains and one job of 1,000 s at 10 W, which every rule allows.
Fleet OneBoard() {
  Fleet fleet;
  fleet.now = 100 * kHour;
  fleet.end = fleet.now + 24 * kHour;
  fleet.device_classes = {{.memory_bytes = 4 << 20}};
  fleet.work_classes = {{.artifact = 0, .artifact_bytes = 0, .wanted_labels = 1}};
  const Amount seconds{.low = 800, .mean = 900, .high = 1000};
  const Amount millijoules{.low = 8'000'000, .mean = 9'000'000, .high = 10'000'000};
  fleet.rates = {{{.form = {},
                   .peak_memory_bytes = 4 << 20,
                   .of_a_run = {},
                   .of_1000_units = {.seconds = seconds, .millijoules = millijoules}}}};
  fleet.devices = {{.device_class = 0, .labels = 1}};
  fleet.jobs = {{.work_class = 0,
                 .units = 1000,
                 .released = fleet.now,
                 .deadline = fleet.now + 1000,
                 .left_out_price = 360'000'000}};
  return fleet;
}

void GiveDarkPack(Fleet& fleet, Millijoules capacity) {
  fleet.devices[0].pack = 0;
  fleet.packs = {{.now = fleet.now,
                  .capacity = capacity,
                  .charge = capacity,
                  .idle = 0,
                  .floor = {},
                  .first_hour = fleet.now,
                  .harvest = {std::vector<Milliwatts>(24, 0)},
                  .broken_paths_max = 0}};
}

struct Case {
  const char* rule;
  std::function<void(Fleet&)> change;
  const char* explained;
};

TEST(RulesTest, EachRuleRefusesWithItsNumbers) {
  const Case kCases[] = {
      {"memory", [](Fleet& fleet) { fleet.device_classes[0].memory_bytes = 3 << 20; },
       "memory: needs 4 MiB of memory, the device has 3"},
      {"labels", [](Fleet& fleet) { fleet.work_classes[0].wanted_labels = 3; },
       "labels: wants 2 labels, the device has 1 of them"},
      {"deadline", [](Fleet& fleet) { fleet.jobs[0].deadline = fleet.now + 999; },
       "deadline: takes 1000 s, the deadline leaves 999"},
      {"work_windows",
       [](Fleet& fleet) {
         fleet.devices[0].closed = {{fleet.now, fleet.now + 1}};
       },
       "work_windows: ends 1001 s from its release on a device without other work, the deadline "
       "leaves 1000"},
      {"power_cap",
       [](Fleet& fleet) {
         fleet.devices[0].supply = 0;
         fleet.supplies = {{.cap = 10'999, .idle = 1000}};
       },
       "power_cap: the boards would draw 11000 mW, the cap is 10999"},
      {"battery_reserve", [](Fleet& fleet) { GiveDarkPack(fleet, 9'999'999); },
       "battery_reserve: draws 2.8 Wh, and no start under the sun that is told keeps the reserve "
       "of a pack of 2.8 Wh"},
  };
  for (const Case& one : kCases) {
    SCOPED_TRACE(one.rule);
    Fleet fleet = OneBoard();
    EXPECT_EQ(WhyNoPlace(fleet, fleet.jobs[0]).answer, Answer::kNotNow)
        << "only other jobs could be in the way";
    one.change(fleet);
    const Verdict verdict = WhyNoPlace(fleet, fleet.jobs[0]);
    EXPECT_EQ(verdict.answer, Answer::kNever);
    EXPECT_EQ(Explain(verdict), one.explained);
  }
}

TEST(RulesTest, WhatJustFitsIsAllowed) {
  Fleet fleet = OneBoard();
  fleet.devices[0].supply = 0;
  fleet.supplies = {{.cap = 11'000, .idle = 1000}};
  GiveDarkPack(fleet, 10'000'000);
  EXPECT_EQ(Check({fleet, fleet.jobs[0], 0, fleet.rates[0][0]}, Scope::kTrajectory).answer,
            Answer::kOk);
}

// Without a deadline the job may wait for a day beyond the forecast.
TEST(RulesTest, AnEmptyPackThatWouldDoWhenFullIsAskedAgainInAnHour) {
  Fleet fleet = OneBoard();
  fleet.jobs[0].deadline.reset();
  GiveDarkPack(fleet, 10'000'000);
  fleet.packs[0].charge = 0;
  const Verdict verdict = WhyNoPlace(fleet, fleet.jobs[0]);
  EXPECT_EQ(verdict.answer, Answer::kNotNow);
  EXPECT_EQ(verdict.until, fleet.now + kHour);
  EXPECT_THAT(Explain(verdict), testing::StartsWith("battery_reserve; looked at again at"));
}

TEST(RulesTest, AFleetWithoutDevicesSaysSo) {
  Fleet fleet = OneBoard();
  fleet.devices.clear();
  EXPECT_EQ(Explain(WhyNoPlace(fleet, fleet.jobs[0])), "the fleet has no device");
}

}  // namespace
}  // namespace wattle::fleet_plan
