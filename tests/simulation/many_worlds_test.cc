// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worlds that need no sanitizer, eight times as quick without one: so many that each fault
// happens, and those in which each mutant is found. Invariants are checked after every event
// (sim/invariants.h).
#include <cctype>
#include <cstdio>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "sim/options.h"
#include "tests/simulation/fault_points.h"
#include "tests/simulation/world.h"
#include "tests/simulation/worlds_for_test.h"

namespace wattle::sim {
namespace {

constexpr int kDenseWorlds = 60;
constexpr int kMutantSeedsMax = 1000;
// Dense worlds in which an invariant broke before its fault was mended.
struct MendedWorld {
  int seed;
  Ending ending = Ending::kAtRest;
};
constexpr MendedWorld kMendedWorlds[] = {
    {900018}, {900103}, {900111}, {900158}, {730088}, {730123}, {900101, Ending::kWithDeadBoards}};

TEST(ManyWorldsTest, DenseWorldsKeepEveryInvariantAndEveryFaultHappens) {
  const Counts sum = RunWorlds(Number("WATTLE_SIM_WORLDS", kDenseWorlds), false);
  // A world without faults proves nothing.
  for (size_t i = 0; i < kFaults; ++i) {
    EXPECT_GT(sum.faults[i], 0) << FaultName(static_cast<Fault>(i));
  }
  EXPECT_GT(sum.lost_batches, 0);
  EXPECT_GT(sum.resumed, 0);
  EXPECT_GT(sum.duplicates, 0);
  // Half an hour empties few batteries.
  EXPECT_GT(RunWorlds(1, /*slow=*/true).empty_batteries, 0);
  EXPECT_GT(sum.succeeded_jobs, kDenseWorlds);
  EXPECT_GT(sum.failed_jobs, 0);
  EXPECT_GT(sum.cancelled_jobs, 0);
  EXPECT_GT(sum.past_deadline, 0);
  EXPECT_GT(sum.moved, 0);
  EXPECT_GT(sum.archived, 0);
  EXPECT_GT(sum.evicted, 0);
  EXPECT_GT(sum.snapshots, 0);
  EXPECT_GT(sum.sqlite_worlds, 0);
  EXPECT_GT(sum.probes, 0);
  EXPECT_GT(sum.profile_runs, 0);
  EXPECT_GT(sum.device_changes, 0);
  EXPECT_GT(sum.upgrades, 0);
  EXPECT_GT(sum.went_back, 0);
  EXPECT_GT(sum.renewed, 0);
}

TEST(ManyWorldsTest, TheWorldsOfMendedFaultsKeepEveryInvariant) {
  for (const MendedWorld& world : kMendedWorlds) {
    RunSeed(world.seed, /*slow=*/false, world.ending);
  }
}

TEST(ManyWorldsTest, TheHealthyPartOfAFleetFinishesInTime) {
  const int worlds = Number("WATTLE_SIM_WORLDS", kDenseWorlds);
  const Counts sum = RunWorlds(worlds, false, Ending::kWithDeadBoards);
  EXPECT_GT(sum.expired_leases, 0) << "no board died with a job";
  EXPECT_GT(sum.succeeded_jobs, worlds);
}

class MutantTest : public testing::TestWithParam<MutantRow> {};

TEST_P(MutantTest, IsFoundWithinAThousandSeeds) {
  for (int seed = kFirstSeed; seed < kFirstSeed + kMutantSeedsMax; ++seed) {
    Options options = DrawOptions(static_cast<uint64_t>(seed), false);
    AddMutant(GetParam().name, options);
    const Outcome outcome = RunWorld(options);
    if (!outcome.breach.empty()) {
      // The breach must be the mutant's: without it the same world is whole.
      options.mutant.clear();
      EXPECT_EQ(RunWorld(options).breach, "") << Replay(seed, "dense");
      std::printf("%s: found with seed %d: %s\n", GetParam().name, seed, outcome.breach.c_str());
      return;
    }
  }
  FAIL() << GetParam().what << ", and no invariant broke in " << kMutantSeedsMax << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Bugs, MutantTest, testing::ValuesIn(Mutants()), [](const auto& test) {
  std::string name;
  for (const char c : std::string(test.param.name)) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? std::string(1, c) : "";
  }
  return name;
});

}  // namespace
}  // namespace wattle::sim
