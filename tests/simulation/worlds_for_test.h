// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Worlds of the simulation, one seed after the other. WATTLE_SIM_SEED=N is the first seed,
// WATTLE_SIM_WORLDS=N the number of dense worlds; `./dev sim-test` runs more of them and replays
// one.
#ifndef WATTLE_TESTS_SIMULATION_WORLDS_FOR_TEST_H_
#define WATTLE_TESTS_SIMULATION_WORLDS_FOR_TEST_H_

#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "sim/options.h"
#include "tests/simulation/world.h"

namespace wattle::sim {

inline constexpr int kFirstSeed = 20261;

inline int Number(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  int number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

inline std::string Replay(int seed, const char* pace) {
  return absl::StrCat("again: ./dev sim-test --seed ", seed, " --pace ", pace);
}

enum class Ending { kAtRest, kWithDeadBoards };

// Fails the test at a breach.
inline Outcome RunSeed(int seed, bool slow, Ending ending) {
  Options options = DrawOptions(static_cast<uint64_t>(seed), slow);
  options.liveness = ending == Ending::kWithDeadBoards;
  Outcome outcome = RunWorld(options);
  EXPECT_EQ(outcome.breach, "") << Replay(seed, slow ? "slow" : "dense")
                                << (options.liveness ? " --liveness" : "");
  return outcome;
}

// Sums the counts of the worlds. A world with a breach is the last one.
inline Counts RunWorlds(int worlds, bool slow, Ending ending = Ending::kAtRest) {
  Counts sum;
  const int first = Number("WATTLE_SIM_SEED", kFirstSeed);
  for (int seed = first; seed < first + worlds; ++seed) {
    const Outcome outcome = RunSeed(seed, slow, ending);
    if (!outcome.breach.empty()) {
      break;
    }
    sum.Add(outcome.counts);
  }
  return sum;
}

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_WORLDS_FOR_TEST_H_
