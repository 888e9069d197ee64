// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The real coordinator and agent in simulated worlds with seeded faults; invariants are checked
// after every event (sim/invariants.h). WATTLE_SIM_SEED=N is the first seed, WATTLE_SIM_WORLDS=N
// how many worlds; `./dev sim-test` runs more of them and replays one.
#include "sim/world.h"

#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "sim/fault_points.h"
#include "sim/options.h"

namespace wattle::sim {
namespace {

constexpr int kFirstSeed = 20261;
constexpr int kDenseWorlds = 60;
constexpr int kSlowWorlds = 2;
constexpr int kMutantSeedsMax = 1000;

int Number(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  int number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

std::string Replay(int seed, const char* pace) {
  return absl::StrCat("again: ./dev sim-test --seed ", seed, " --pace ", pace);
}

Counts RunWorlds(int worlds, bool slow) {
  Counts sum;
  const int first = Number("WATTLE_SIM_SEED", kFirstSeed);
  for (int seed = first; seed < first + worlds; ++seed) {
    const Outcome outcome = RunWorld(DrawOptions(static_cast<uint64_t>(seed), slow));
    EXPECT_EQ(outcome.breach, "") << Replay(seed, slow ? "slow" : "dense");
    if (!outcome.breach.empty()) {
      break;
    }
    sum.Add(outcome.counts);
  }
  return sum;
}

TEST(WorldTest, DenseWorldsKeepEveryInvariantAndEveryFaultHappens) {
  const Counts sum = RunWorlds(Number("WATTLE_SIM_WORLDS", kDenseWorlds), false);
  // A world in which nothing goes wrong proves nothing.
  for (size_t i = 0; i < kFaults; ++i) {
    EXPECT_GT(sum.faults[i], 0) << FaultName(static_cast<Fault>(i));
  }
  EXPECT_GT(sum.lost_batches, 0);
  EXPECT_GT(sum.resumed, 0);
  EXPECT_GT(sum.duplicates, 0);
  EXPECT_GT(sum.empty_batteries, 0);
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
}

TEST(WorldTest, SlowWorldsKeepEveryInvariant) {
  const Counts sum = RunWorlds(kSlowWorlds, true);
  EXPECT_GT(sum.succeeded_jobs, kSlowWorlds);
}

TEST(WorldTest, SameSeedGivesTheSameWorld) {
  const Outcome first = RunWorld(DrawOptions(kFirstSeed, false));
  const Outcome again = RunWorld(DrawOptions(kFirstSeed, false));
  EXPECT_EQ(first.fingerprint, again.fingerprint);
  EXPECT_EQ(first.steps, again.steps);
  EXPECT_NE(first.fingerprint, RunWorld(DrawOptions(kFirstSeed + 1, false)).fingerprint);
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
