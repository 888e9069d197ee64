// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The real coordinator and agent in simulated worlds with seeded faults; invariants are checked
// after every event (sim/invariants.h). The sanitizers watch these worlds; many_worlds_test.cc runs
// more of them without.
#include "tests/simulation/world.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "sim/options.h"
#include "tests/simulation/worlds_for_test.h"

namespace wattle::sim {
namespace {

// One in ten has the real journal.
constexpr int kDenseWorlds = 12;
constexpr int kSlowWorlds = 2;

TEST(WorldTest, DenseWorldsKeepEveryInvariant) {
  const Counts sum = RunWorlds(Number("WATTLE_SIM_WORLDS", kDenseWorlds), false);
  EXPECT_GT(sum.succeeded_jobs, kDenseWorlds);
  EXPECT_GT(sum.sqlite_worlds, 0);
}

TEST(WorldTest, SlowWorldsKeepEveryInvariant) {
  const Counts sum = RunWorlds(kSlowWorlds, true);
  EXPECT_GT(sum.succeeded_jobs, kSlowWorlds);
}

// The lanes without sanitizers run more of them (many_worlds_test.cc).
TEST(WorldTest, TheHealthyPartOfAFleetFinishesInTime) {
  EXPECT_GT(RunWorlds(3, false, Ending::kWithDeadBoards).succeeded_jobs, 3);
}

TEST(WorldTest, SameSeedGivesTheSameWorld) {
  const Outcome first = RunWorld(DrawOptions(kFirstSeed, false));
  const Outcome again = RunWorld(DrawOptions(kFirstSeed, false));
  EXPECT_EQ(first.fingerprint, again.fingerprint);
  EXPECT_EQ(first.steps, again.steps);
  EXPECT_NE(first.fingerprint, RunWorld(DrawOptions(kFirstSeed + 1, false)).fingerprint);
}

}  // namespace
}  // namespace wattle::sim
