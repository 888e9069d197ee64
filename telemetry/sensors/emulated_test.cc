// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/emulated.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

Monotonic At(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}
const ThrottlingDips kDips = {
    .period = absl::Seconds(17), .length = absl::Seconds(4), .power = Watts(11), .speed = 0.7};

TEST(EmulatedBoardTest, PowerFollowsTheLoadAndItsChangesAheadOfNow) {
  EmulatedBoard board({.idle = Watts(3)}, At(100));
  board.SetLoad(At(110), EmulatedLoad{.mean = Watts(12), .dips = {}});
  board.SetLoad(At(120), std::nullopt);
  EXPECT_EQ(board.Power(At(105)), Watts(3));
  EXPECT_EQ(board.Power(At(115)), Watts(12));
  EXPECT_EQ(board.Power(At(125)), Watts(3));
  EXPECT_NEAR(board.Energy(At(130)).value(), 10 * 3 + 10 * 12 + 10 * 3, 1e-6);
}

TEST(EmulatedBoardTest, ALaterChangeIsTakenBackByAnEarlierOne) {
  EmulatedBoard board({.idle = Watts(3)}, At(0));
  board.SetLoad(At(10), EmulatedLoad{.mean = Watts(12), .dips = {}});
  board.SetLoad(At(20), std::nullopt);
  board.SetLoad(At(5), EmulatedLoad{.mean = Watts(7), .dips = {}});
  EXPECT_EQ(board.Power(At(4)), Watts(3));
  EXPECT_EQ(board.Power(At(30)), Watts(7));
}

TEST(EmulatedBoardTest, DipsKeepTheMean) {
  EmulatedBoard board({.idle = Watts(3)}, At(0));
  board.SetLoad(At(0), EmulatedLoad{.mean = Watts(13.37), .dips = kDips});
  EXPECT_NEAR(board.Power(At(1)).value(), 14.1, 0.01);
  EXPECT_EQ(board.Power(At(14)), Watts(11));
  EXPECT_NEAR(board.Energy(At(17 * 50)).value(), 13.37 * 17 * 50, 1e-3);
}

TEST(EmulatedBoardTest, HiddenOffsetScalesWhatTheFileSays) {
  EmulatedBoard board({.idle = Watts(3), .power_factor = 1.1}, At(0));
  EXPECT_NEAR(board.Power(At(1)).value(), 3.3, 1e-9);
}

TEST(EmulatedBoardTest, HeatRisesTowardsItsSteadyState) {
  EmulatedBoard board({.idle = Watts(2),
                       .ambient = Celsius(20),
                       .kelvin_per_watt = 3,
                       .thermal_time_constant = absl::Seconds(60)},
                      At(0));
  board.SetLoad(At(0), EmulatedLoad{.mean = Watts(12), .dips = {}});
  EXPECT_NEAR(board.Temperature(At(60)).value(), 56 - 30 * std::exp(-1), 1e-6);
  EXPECT_NEAR(board.Temperature(At(6000)).value(), 56, 1e-6);
}

double ChargeAt(Source& source, double seconds) {
  const auto readings = source.Poll(At(seconds));
  for (const Reading& reading : *readings) {
    if (const auto* charge = std::get_if<ChargeState>(&reading.value)) {
      return charge->state_of_charge.value();
    }
  }
  return -1;
}

TEST(EmulatedBoardTest, ABatteryDrainsByTheEnergyDrawnAndStopsAtEmpty) {
  EmulatedBoard board(
      {.idle = Watts(10), .battery_capacity = FromWattHours(10), .state_of_charge = Fraction(0.5)},
      At(0));
  const auto source = board.MakeSource();
  EXPECT_NEAR(ChargeAt(*source, 360), 0.4, 1e-9);
  EXPECT_NEAR(ChargeAt(*source, 36000), 0.0, 1e-9);
  EmulatedBoard mains({.idle = Watts(1)}, At(0));
  EXPECT_FALSE(mains.MakeSource()->info().has_gauge());
}

TEST(EmulatedBoardTest, ItsSourceTellsEveryRefreshPeriodSinceTheLastPoll) {
  EmulatedBoard board({.idle = Watts(3), .refresh_period = absl::Seconds(2)}, At(100));
  board.SetLoad(At(103), EmulatedLoad{.mean = Watts(12), .dips = {}});
  const auto source = board.MakeSource();
  std::vector<double> seconds;
  std::vector<double> watts;
  for (const double poll : {101.0, 106.5}) {
    const auto readings = source->Poll(At(poll));
    for (const Reading& reading : *readings) {
      if (reading.channel == 0) {
        seconds.push_back(absl::ToDoubleSeconds(reading.taken_at.since_boot()));
        watts.push_back(std::get<Watts>(reading.value).value());
      }
    }
  }
  EXPECT_THAT(seconds, testing::ElementsAre(100, 102, 104, 106));
  EXPECT_THAT(watts, testing::ElementsAre(3, 3, 12, 12));
}

TEST(EmulatedBoardTest, ADipIsThrottling) {
  EmulatedBoard board({.idle = Watts(3)}, At(0));
  board.SetLoad(At(0), EmulatedLoad{.mean = Watts(12), .dips = kDips});
  EXPECT_FALSE(board.Throttled(At(12.9)));
  EXPECT_TRUE(board.Throttled(At(13.1)));
  EXPECT_FALSE(board.Throttled(At(17.1)));
}

TEST(EmulatedBoardTest, NoiseIsSeededAndHasTheMeanOfTheTruth) {
  const EmulatedPhysics physics = {
      .idle = Watts(10), .noise_ratio = 0.02, .refresh_period = absl::Seconds(1), .seed = 7};
  EmulatedBoard one(physics, At(0));
  EmulatedBoard two(physics, At(0));
  const auto first = one.MakeSource()->Poll(At(9999));
  const auto second = two.MakeSource()->Poll(At(9999));
  double sum = 0;
  double squares = 0;
  constexpr size_t kSamples = 10000;
  ASSERT_GE(first->size(), kSamples);
  for (size_t i = 0; i < kSamples; ++i) {
    const double watts = std::get<Watts>((*first)[i].value).value();
    ASSERT_EQ(std::get<Watts>((*second)[i].value).value(), watts);
    sum += watts;
    squares += (watts - 10) * (watts - 10);
  }
  // The mean of 10,000 samples has a standard deviation of 0.002 W; the tolerance is five of these.
  EXPECT_NEAR(sum / kSamples, 10.0, 0.01);
  EXPECT_NEAR(std::sqrt(squares / kSamples), 0.2, 0.01);
}

TEST(EndOfWorkTest, WholeDipPeriodsTakeTheirNominalTime) {
  EXPECT_NEAR(absl::ToDoubleSeconds(EndOfWork(kDips, At(5), absl::Seconds(17 * 3)) - At(5)), 51.0,
              1e-6);
}

TEST(EndOfWorkTest, WorkInsideADipTakesLonger) {
  const absl::Duration outside = EndOfWork(kDips, At(0), absl::Seconds(1)) - At(0);
  const absl::Duration inside = EndOfWork(kDips, At(13.5), absl::Seconds(1)) - At(13.5);
  EXPECT_NEAR(absl::FDivDuration(outside, inside), 0.7, 1e-6);
}

TEST(HiddenFactorTest, StaysInItsRangeAndDependsOnSeedAndPurpose) {
  double low = 2;
  double high = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const double factor = HiddenFactor(seed, "power", 0.2);
    EXPECT_NE(factor, HiddenFactor(seed, "time", 0.2));
    low = std::min(low, factor);
    high = std::max(high, factor);
  }
  EXPECT_GE(low, 0.8);
  EXPECT_LT(low, 0.82);
  EXPECT_LE(high, 1.2);
  EXPECT_GT(high, 1.18);
  EXPECT_EQ(HiddenFactor(3, "power", 0), 1.0);
}

}  // namespace
}  // namespace wattle::telemetry
