// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/supply.h"

#include <algorithm>
#include <optional>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::timetable {
namespace {

// Two boards that idle at 1 W each, on a supply of 10 W.
constexpr SupplySpec kTenWatts = {.cap = 10'000, .idle = 2000};

TEST(SupplyTest, ARunWaitsUntilAnotherOneEnds) {
  Supply supply(kTenWatts);
  supply.Add({.job = 0, .begin = 0, .length = 100, .power = 5000});
  EXPECT_TRUE(supply.Fits({.begin = 0, .length = 100, .power = 3000}));
  EXPECT_FALSE(supply.Fits({.begin = 99, .length = 100, .power = 3001}));
  EXPECT_EQ(supply.EarliestFit({.begin = 10, .length = 100, .power = 3001}), 100);
  EXPECT_EQ(supply.EarliestFit({.begin = 10, .length = 100, .power = 8000}), 100);
  EXPECT_EQ(supply.EarliestFit({.begin = 10, .length = 100, .power = 8001}), std::nullopt);
  supply.Remove(0);
  EXPECT_EQ(supply.EarliestFit({.begin = 10, .length = 100, .power = 8000}), 10);
}

// A run that is reserved for later keeps its power: a long run may not begin before it.
TEST(SupplyTest, AReservedRunKeepsItsPower) {
  Supply supply(kTenWatts);
  supply.Add({.job = 0, .begin = 500, .length = 100, .power = 5000});
  EXPECT_EQ(supply.EarliestFit({.begin = 0, .length = 500, .power = 4000}), 0);
  EXPECT_EQ(supply.EarliestFit({.begin = 0, .length = 501, .power = 4000}), 600);
}

// The earliest begin is that of a search second by second, which adds up each second separately.
TEST(SupplyTest, AgreesWithASearchSecondBySecond) {
  int waited = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 dice(seed);
    const auto below = [&dice](int64_t bound) {
      return static_cast<int64_t>(dice() % static_cast<unsigned>(bound));
    };
    Supply supply(kTenWatts);
    std::vector<Milliwatts> sums(400, kTenWatts.idle);
    for (int job = 0; job < 6; ++job) {
      const SupplyRun run{
          .job = job, .begin = below(60), .length = 1 + below(40), .power = 1000 + below(5000)};
      supply.Add(run);
      for (Seconds at = run.begin; at < run.end(); ++at) {
        sums[static_cast<size_t>(at)] += run.power;
      }
    }
    const SupplyRun asked{.begin = below(60), .length = 1 + below(40), .power = below(8000)};
    Seconds expected = asked.begin;
    const auto fits = [&](Seconds begin) {
      return std::all_of(sums.begin() + begin, sums.begin() + begin + asked.length,
                         [&](Milliwatts sum) { return sum + asked.power <= kTenWatts.cap; });
    };
    while (!fits(expected)) {
      ++expected;
    }
    EXPECT_EQ(supply.EarliestFit(asked), expected) << "seed " << seed;
    waited += expected > asked.begin ? 1 : 0;
  }
  EXPECT_GT(waited, 50);
}

}  // namespace
}  // namespace wattle::timetable
