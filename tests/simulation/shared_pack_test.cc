// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards that a scenario's policies put on one pack: its charge, its sun and what it loses count
// once.
#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"
#include "tests/simulation/scenario_for_test.h"

namespace wattle::sim {
namespace {

// Two groups on the pack "north", which has 240 Wh in all.
constexpr char kNorth[] = R"(duration: 3d
fleet:
  - {name: a, class: jetson-orin-nano, pack_wh: 240, charge: 0.6, reserve: 0.3, panel_watts: 70, policy: {power_group: {name: north, shared_pack: true}}}
  - {name: b, class: jetson-xavier-nx, pack_wh: 240, charge: 0.6, reserve: 0.3, policy: {power_group: {name: north, shared_pack: true}}}
sun: {file: sun.csv, spread: 0.3}
rates: {seconds_spread: 0.1, watts_spread: 0.1}
data: {questions: {examples: 10000}}
jobs:
  - {name: tune, every: 2h, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
)";

TEST(SharedPackTest, WhatComesIsStoredDrawnOrLostOnce) {
  Recording recording;
  const RunFigures figures = RecordedRun(kNorth, 1, recording);
  const std::vector<GroupTruth> truth = TruthOf(*Parse(kNorth), 1);
  ASSERT_EQ(truth.size(), 2);
  EXPECT_EQ(truth[0].shared_pack, "north");
  EXPECT_EQ(truth[0].sun, truth[1].sun);
  double came = 0.0;
  for (const double watts : truth[0].sun) {
    came += watts;
  }
  ASSERT_EQ(recording.boards.size(), 2);
  const std::vector<PackSample>& pack = recording.boards[0].pack;
  const double stored = (pack.back().charge - pack.front().charge).value() * 240.0;
  EXPECT_GT(figures[Figure::kDone], 5);
  EXPECT_GT(figures[Figure::kLostSunWattHours], 10.0);
  EXPECT_NEAR(came, stored + figures[Figure::kFleetWattHours] + figures[Figure::kLostSunWattHours],
              1.0);
}

TEST(SharedPackTest, ItsBoardsSeeOneCharge) {
  Recording recording;
  RecordedRun(kNorth, 2, recording);
  ASSERT_EQ(recording.boards.size(), 2);
  ASSERT_EQ(recording.boards[0].pack.size(), recording.boards[1].pack.size());
  for (size_t i = 0; i < recording.boards[0].pack.size(); ++i) {
    const PackSample& one = recording.boards[0].pack[i];
    const PackSample& other = recording.boards[1].pack[i];
    EXPECT_EQ(one.charge, other.charge) << one.at_seconds;
    EXPECT_EQ(one.sun, other.sun) << one.at_seconds;
  }
  // A drawing changes nothing.
  EXPECT_EQ(RecordedRun(kNorth, 2, recording).fingerprint,
            FiguresOf(kNorth, "ours", 2).fingerprint);
}

TEST(SharedPackTest, WorkKeepsItsReserve) {
  double done = 0.0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    for (const char* const policy : {"ours", "fastest"}) {
      const RunFigures figures = FiguresOf(kNorth, policy, seed);
      EXPECT_EQ(figures[Figure::kReserveBreaches], 0) << policy << " " << seed;
      done += figures[Figure::kDone];
    }
  }
  EXPECT_GT(done, 6 * 2 * 10);
}

}  // namespace
}  // namespace wattle::sim
