// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/meter/energy_meter.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

constexpr absl::Duration kPeriod = absl::Milliseconds(430);

Monotonic At(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}

TEST(EnergyMeterTest, ARampIsIntegratedExactly) {
  EnergyMeter meter(kPeriod);
  EnergySpan span;
  for (int i = 0; i <= 10; ++i) {
    span.Add(meter.AddPower(At(0.4 * i), Watts(5.0 + i)));
  }
  EXPECT_NEAR(span.gross.value(), 4.0 * 10.0, 1e-9);
  EXPECT_EQ(span.Coverage(), Fraction(1.0));
  EXPECT_EQ(span.peak, Watts(15.0));
  EXPECT_EQ(span.samples, 11);
}

TEST(EnergyMeterTest, AGapOverTheLimitAddsNoMeasuredEnergyAndLowersCoverage) {
  EnergyMeter meter(kPeriod);
  EnergySpan span;
  span.Add(meter.AddPower(At(0), Watts(10)));
  span.Add(meter.AddPower(At(2.5), Watts(10)));  // exactly the limit: still measured
  EXPECT_NEAR(span.gross.value(), 25.0, 1e-9);
  span.Add(meter.AddPower(At(5.1), Watts(10)));
  EXPECT_NEAR(span.gross.value(), 25.0, 1e-9);
  EXPECT_NEAR(span.missing_at_most.value(), 26.0, 1e-9);
  EXPECT_NEAR(span.Coverage().value(), 2.5 / 5.1, 1e-9);
  EXPECT_NEAR(span.MeanPower().value(), 10.0, 1e-9);
}

TEST(EnergyMeterTest, ASlowSensorHasALongerGapLimit) {
  EXPECT_EQ(EnergyMeter(absl::Seconds(4)).gap_limit(), absl::Seconds(12));
  EXPECT_EQ(EnergyMeter(kPeriod).gap_limit(), absl::Milliseconds(2500));
}

TEST(EnergyMeterTest, ABoundarySeparatesTheSidesOfAnEdge) {
  EnergyMeter meter(kPeriod);
  meter.AddPower(At(0), Watts(3));
  const EnergyIncrement before = meter.Boundary(At(0.1));
  const EnergyIncrement after = meter.AddPower(At(0.4), Watts(13));
  EXPECT_NEAR(before.measured.value(), 0.3, 1e-9);
  EXPECT_NEAR(after.measured.value(), 13 * 0.3, 1e-9);
}

TEST(EnergyMeterTest, AnEdgeAtASampleBelongsToWhatFollows) {
  EnergyMeter meter(kPeriod);
  meter.AddPower(At(1), Watts(3));
  EXPECT_EQ(meter.Boundary(At(1)).measured, Joules(0));
  EXPECT_NEAR(meter.AddPower(At(1.4), Watts(13)).measured.value(), 13 * 0.4, 1e-9);
}

TEST(EnergyMeterTest, AnEdgeInsideAGapStaysMissing) {
  EnergyMeter meter(kPeriod);
  meter.AddPower(At(0), Watts(3));
  EnergySpan span;
  span.Add(meter.Boundary(At(5)));
  span.Add(meter.AddPower(At(6), Watts(3)));
  EXPECT_EQ(span.gross, Joules(0));
  EXPECT_EQ(span.missing, absl::Seconds(6));
}

TEST(EnergyMeterTest, TimeThatGoesBackAndNotANumberAddNothing) {
  EnergyMeter meter(kPeriod);
  EnergySpan span;
  span.Add(meter.AddPower(At(1), Watts(4)));
  span.Add(meter.AddPower(At(0.5), Watts(400)));
  span.Add(meter.AddPower(At(1), Watts(400)));
  span.Add(meter.AddPower(At(1.2), Watts(std::numeric_limits<double>::quiet_NaN())));
  span.Add(meter.AddPower(At(2), Watts(4)));
  EXPECT_NEAR(span.gross.value(), 4.0, 1e-9);
  EXPECT_EQ(span.peak, Watts(4));
}

TEST(EnergyMeterTest, ACounterBridgesGapsAndAResetIsMissing) {
  EnergyMeter meter(absl::Milliseconds(500));
  EnergySpan span;
  span.Add(meter.AddCounter(At(0), Joules(1000)));
  span.Add(meter.AddCounter(At(60), Joules(1600)));
  EXPECT_NEAR(span.gross.value(), 600.0, 1e-9);
  EXPECT_EQ(span.Coverage(), Fraction(1.0));
  span.Add(meter.AddCounter(At(61), Joules(5)));
  EXPECT_NEAR(span.gross.value(), 600.0, 1e-9);
  EXPECT_EQ(span.missing, absl::Seconds(1));
}

TEST(EnergyMeterTest, BoundariesOfACounterAddUpToTheCounter) {
  EnergyMeter meter(absl::Milliseconds(500));
  EnergySpan span;
  span.Add(meter.AddCounter(At(0), Joules(0)));
  span.Add(meter.AddCounter(At(1), Joules(10)));
  span.Add(meter.Boundary(At(1.5)));
  EXPECT_NEAR(span.gross.value(), 15.0, 1e-9);
  span.Add(meter.AddCounter(At(2), Joules(40)));
  EXPECT_NEAR(span.gross.value(), 40.0, 1e-9);
}

// 10 minutes of a square wave, sampled with jitter through a sensor that averages over its period,
// as an INA3221 does. Tolerance 1 %: duty x cycles gives at least 60 edges, each off by at most
// half a window (0.2 s x amplitude), of random sign.
struct Wave {
  double duty;
  double hertz;
};
class SquareWaveTest : public testing::TestWithParam<Wave> {};

double WaveEnergy(const Wave& wave, double phase, double seconds) {
  const double cycles = seconds * wave.hertz + phase;
  const double whole = std::floor(cycles);
  const double high = whole * wave.duty + std::min(cycles - whole, wave.duty);
  return 4.0 * seconds + 10.0 * high / wave.hertz;
}

TEST_P(SquareWaveTest, IsWithinOnePercentUnderJitter) {
  constexpr uint64_t kSeed = 20261120;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  std::mt19937_64 random(kSeed);
  std::uniform_real_distribution<double> unit(0.0, 1.0);
  const double phase = unit(random);
  const double window = 0.43;
  EnergyMeter meter(kPeriod);
  EnergySpan span;
  const double begin = 1.0;
  double at = begin;
  double end = at;
  while (at < begin + 600.0) {
    const double power =
        (WaveEnergy(GetParam(), phase, at) - WaveEnergy(GetParam(), phase, at - window)) / window;
    span.Add(meter.AddPower(At(at), Watts(power)));
    end = at;
    at += window * (0.8 + 0.4 * unit(random));
  }
  const double truth = WaveEnergy(GetParam(), phase, end) - WaveEnergy(GetParam(), phase, begin);
  EXPECT_NEAR(span.gross.value() / truth, 1.0, 0.01);
}

INSTANTIATE_TEST_SUITE_P(DutyAndRate, SquareWaveTest,
                         testing::Values(Wave{0.1, 0.1}, Wave{0.1, 3}, Wave{0.5, 0.1}, Wave{0.5, 1},
                                         Wave{0.5, 3}, Wave{0.9, 0.3}, Wave{0.9, 3}));

TEST(EnergySpanTest, NetIsAboveIdleOverTheCoveredTimeOnly) {
  EnergyMeter meter(kPeriod);
  EnergySpan span;
  span.Add(meter.AddPower(At(0), Watts(10)));
  span.Add(meter.AddPower(At(2), Watts(10)));
  span.Add(meter.Absent(absl::Seconds(8)));
  EXPECT_NEAR(span.Net(Watts(4)).value(), 12.0, 1e-9);
  EXPECT_EQ(span.Net(std::nullopt), span.gross);
  EXPECT_EQ(span.Net(Watts(40)), Joules(0));
  EXPECT_NEAR(span.Coverage().value(), 0.2, 1e-9);
}

TEST(IdleBaselineTest, IsAbsentUntilEnoughSamplesAndFollowsAChange) {
  IdleBaseline idle;
  for (int i = 0; i < 4; ++i) {
    idle.Add(Watts(3));
  }
  EXPECT_EQ(idle.power(), std::nullopt);
  idle.Add(Watts(3));
  EXPECT_EQ(idle.power(), Watts(3));
  for (int i = 0; i < 5000; ++i) {
    idle.Add(Watts(4));
  }
  EXPECT_NEAR(idle.power()->value(), 4.0, 0.01);
}

}  // namespace
}  // namespace wattle::telemetry
