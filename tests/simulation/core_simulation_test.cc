// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The real core and scheduler in simulated worlds with seeded faults; invariants are checked after
// every event (sim/invariants.h). WATTLE_SIM_SEED=N runs one world again, WATTLE_SIM_WORLDS=N as
// many as wanted.
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "sim/random.h"
#include "sim/world.h"

namespace wattle::sim {
namespace {

constexpr uint64_t kFirstSeed = 20261;
constexpr int kWorlds = 150;

// Also the options are drawn, so that no two worlds go wrong in the same way.
Options Swarm(uint64_t seed) {
  Random random(seed * 7919);
  Options options;
  options.seed = seed;
  options.workers = 2 + random.Below(7);
  options.jobs = 8 + random.Below(25);
  options.loss = random.Chance(0.3) ? 0.0 : random.Between(0.0005, 0.02);
  options.duplication = random.Between(0.0, 0.3);
  options.delay_seconds_max = random.Between(0.01, 3.0);
  const auto rate = [&](double low, double high) {
    return random.Chance(0.2) ? 0.0 : random.Between(low, high);
  };
  options.coordinator_crash_seconds = rate(30.0, 400.0);
  options.worker_crash_seconds = rate(20.0, 300.0);
  options.disk_loss_seconds = random.Chance(0.5) ? 0.0 : random.Between(200.0, 1500.0);
  options.partition_seconds = rate(20.0, 300.0);
  options.clock_jump_seconds = rate(100.0, 900.0);
  options.drain_seconds = rate(60.0, 600.0);
  options.cancel_seconds = rate(60.0, 600.0);
  options.attempt_failure = random.Between(0.0, 0.3);
  return options;
}

std::string Replay(uint64_t seed) {
  return absl::StrCat("replay: WATTLE_SIM_SEED=", seed,
                      " wattle_core_simulation_test --gtest_filter=*RandomWorlds*");
}

int Number(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  int number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

TEST(CoreSimulationTest, RandomWorldsKeepEveryInvariant) {
  const int only = Number("WATTLE_SIM_SEED", 0);
  const int worlds = only != 0 ? 1 : Number("WATTLE_SIM_WORLDS", kWorlds);
  const uint64_t first = only != 0 ? static_cast<uint64_t>(only) : kFirstSeed;
  Counts sum;
  int64_t steps = 0;
  for (uint64_t seed = first; seed < first + static_cast<uint64_t>(worlds); ++seed) {
    const Outcome outcome = RunWorld(Swarm(seed));
    ASSERT_EQ(outcome.breach, "") << Replay(seed);
    steps += outcome.steps;
    sum.events += outcome.counts.events;
    sum.coordinator_crashes += outcome.counts.coordinator_crashes;
    sum.lost_batches += outcome.counts.lost_batches;
    sum.worker_crashes += outcome.counts.worker_crashes;
    sum.lost_disks += outcome.counts.lost_disks;
    sum.broken_streams += outcome.counts.broken_streams;
    sum.duplicates += outcome.counts.duplicates;
    sum.expired_leases += outcome.counts.expired_leases;
    sum.adopted += outcome.counts.adopted;
    sum.late_receipts += outcome.counts.late_receipts;
    sum.drained_attempts += outcome.counts.drained_attempts;
    sum.cancelled_jobs += outcome.counts.cancelled_jobs;
    sum.succeeded_jobs += outcome.counts.succeeded_jobs;
    sum.failed_jobs += outcome.counts.failed_jobs;
  }
  std::printf(
      "%d worlds from seed %d: %ld steps, %ld events, %ld coordinator crashes (%ld lost a batch), "
      "%ld worker crashes, %ld lost disks, %ld broken streams, %ld duplicates, %ld leases expired, "
      "%ld results adopted, %ld late receipts, %ld drained, jobs: %ld succeeded, %ld failed, %ld "
      "cancelled\n",
      worlds, static_cast<int>(first), steps, sum.events, sum.coordinator_crashes, sum.lost_batches,
      sum.worker_crashes, sum.lost_disks, sum.broken_streams, sum.duplicates, sum.expired_leases,
      sum.adopted, sum.late_receipts, sum.drained_attempts, sum.succeeded_jobs, sum.failed_jobs,
      sum.cancelled_jobs);
  if (only != 0) {
    return;
  }
  // The faults did happen: a world in which nothing goes wrong proves nothing.
  EXPECT_GT(sum.lost_batches, 0);
  EXPECT_GT(sum.lost_disks, 0);
  EXPECT_GT(sum.expired_leases, 0);
  EXPECT_GT(sum.adopted, 0);
  EXPECT_GT(sum.late_receipts, 0);
  EXPECT_GT(sum.drained_attempts, 0);
  EXPECT_GT(sum.cancelled_jobs, 0);
  EXPECT_GT(sum.failed_jobs, 0);
  EXPECT_GT(sum.succeeded_jobs, 10 * worlds / 2);
}

TEST(CoreSimulationTest, SameSeedGivesTheSameWorld) {
  const Outcome first = RunWorld(Swarm(kFirstSeed));
  const Outcome again = RunWorld(Swarm(kFirstSeed));
  EXPECT_EQ(first.journal_fingerprint, again.journal_fingerprint);
  EXPECT_EQ(first.steps, again.steps);
  EXPECT_NE(first.journal_fingerprint, RunWorld(Swarm(kFirstSeed + 1)).journal_fingerprint);
}

struct MutantCase {
  const char* name;
  Mutant mutant;
  const char* caught_by;  // part of the breach
};

class MutantTest : public testing::TestWithParam<MutantCase> {};

TEST_P(MutantTest, IsCaughtByTheInvariantThatIsMeantForIt) {
  constexpr int kTries = 8;
  std::string breaches;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kTries; ++seed) {
    Options options = Swarm(seed);
    options.partition_seconds = 60.0;
    options.worker_crash_seconds = 60.0;
    options.coordinator_crash_seconds = 60.0;
    options.cancel_seconds = 60.0;
    options.duplication = 0.2;
    options.mutant = GetParam().mutant;
    const Outcome outcome = RunWorld(options);
    if (outcome.breach.find(GetParam().caught_by) != std::string::npos) {
      return;
    }
    absl::StrAppend(&breaches, "seed ", seed, ": ", outcome.breach, "\n");
  }
  FAIL() << GetParam().name << " was not caught\n" << breaches;
}

INSTANTIATE_TEST_SUITE_P(
    Bugs, MutantTest,
    testing::Values(
        MutantCase{"AcknowledgementDropped", Mutant::kAcknowledgementDropped, "never acknowledged"},
        MutantCase{"TokenForgotten", Mutant::kTokenForgotten, "committed results"},
        MutantCase{"HighWaterMarkForgotten", Mutant::kHighWaterMarkForgotten, "applied twice"},
        MutantCase{"EffectsBeforeCommit", Mutant::kEffectsBeforeCommit, "before it was durable"},
        MutantCase{"StoppedEnergyForgotten", Mutant::kStoppedEnergyForgotten, "receipts"},
        MutantCase{"StopIgnored", Mutant::kStopIgnored, "holds"},
        MutantCase{"StateNotReplayable", Mutant::kStateNotReplayable, "differs"},
        MutantCase{"RequeueForgotten", Mutant::kRequeueForgotten, "live attempts"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace wattle::sim
