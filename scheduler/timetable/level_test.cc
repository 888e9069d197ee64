// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares the closed form with a simulation of every second.
#include "scheduler/timetable/level.h"

#include <algorithm>
#include <random>

#include "gtest/gtest.h"

namespace wattle::timetable {
namespace {

constexpr Millijoules kCapacity = 100'000;

TEST(LevelTest, AFullPackTakesNoMoreAndAnEmptyOneGivesNoMore) {
  EXPECT_EQ(Advance(99'000, 1000, 5, kCapacity).end, kCapacity);
  const Level empty = Advance(2000, -1000, 5, kCapacity);
  EXPECT_EQ(empty.end, 0);
  EXPECT_EQ(empty.lowest, -3000);
}

TEST(LevelTest, PausableWorkRunsToItsFloorAndRests) {
  const Level level = AdvanceBeside({.power = 900, .floor = 30'000}, 40'000, -100, 60, kCapacity);
  EXPECT_EQ(level.worked, 10);
  EXPECT_EQ(level.end, 30'000 - 50 * 100) << "idle draw goes on below the floor";
}

TEST(LevelTest, AtItsFloorWorkTakesWhatSunThereIs) {
  const Level level = AdvanceBeside({.power = 1000, .floor = 30'000}, 30'000, 250, 60, kCapacity);
  EXPECT_EQ(level.worked, 15);
  EXPECT_EQ(level.end, 30'000);
}

TEST(LevelTest, BelowItsFloorWorkRestsUntilTheSunHasChargedThePack) {
  const Level level = AdvanceBeside({.power = 300, .floor = 30'000}, 20'000, 500, 60, kCapacity);
  EXPECT_EQ(level.worked, 40);
  EXPECT_EQ(level.end, 30'000 + 40 * 200);
  EXPECT_EQ(level.lowest, 20'000);
}

TEST(LevelTest, AFloorThatNoPackHoldsKeepsWorkAtRest) {
  EXPECT_EQ(
      AdvanceBeside({.power = 300, .floor = kCapacity + 1}, kCapacity, 0, 60, kCapacity).worked, 0);
}

// A second of work may borrow from the sun of a later second. The floor must therefore be some
// seconds of work away from an empty pack, and from a full one, which would lose that sun.
TEST(LevelTest, AgreesWithAWalkThroughEverySecond) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice(seed);
  const auto below = [&dice](int64_t bound) { return static_cast<int64_t>(dice()) % bound; };
  for (int round = 0; round < 2000; ++round) {
    const PausableWork work{.power = 1 + below(2000), .floor = 4000 + below(kCapacity - 8000)};
    const Millijoules begin = below(kCapacity + 1);
    const Milliwatts net = below(3000) - 1500;
    const Seconds length = 1 + below(200);
    const Level level = AdvanceBeside(work, begin, net, length, kCapacity);
    Millijoules charge = begin;
    Seconds worked = 0;
    for (Seconds second = 0; second < length; ++second) {
      const bool works = charge > work.floor;
      worked += works ? 1 : 0;
      charge = std::clamp<Millijoules>(charge + net - (works ? work.power : 0), 0, kCapacity);
    }
    EXPECT_NEAR(static_cast<double>(level.worked), static_cast<double>(worked), 2);
    EXPECT_NEAR(static_cast<double>(level.end), static_cast<double>(charge), 2 * 3500);
  }
}

}  // namespace
}  // namespace wattle::timetable
