// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/meter/energy_span.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "telemetry/meter/baseline.h"

namespace wattle::telemetry {
namespace {

TEST(EnergySpanTest, NetIsAboveIdleOverTheCoveredTimeOnly) {
  EnergySpan span;
  span.Add({.covered = absl::Seconds(2), .measured = Joules(20)}, Watts(0));
  span.Add({.missing = absl::Seconds(8)}, Watts(10));
  EXPECT_EQ(span.missing_at_most, Joules(80));
  EXPECT_NEAR(span.Net(Watts(4)).value(), 12.0, 1e-9);
  EXPECT_EQ(span.Net(std::nullopt), span.gross);
  EXPECT_EQ(span.Net(Watts(40)), Joules(0));
  EXPECT_NEAR(span.Coverage().value(), 0.2, 1e-9);
  EXPECT_EQ(span.MeanPower(), Watts(10));
}

TEST(EnergySpanTest, ErrorsAddUpAndWhatFallsBetweenSamplesAddsInQuadrature) {
  EnergySpan span;
  for (int i = 0; i < 100; ++i) {
    span.Add({.measured = Joules(10), .error = Joules(0.1), .variance = 1}, Watts(0));
  }
  EXPECT_NEAR(span.High().value(), 1000 + 10 + 3 * 10, 1e-9);
  EXPECT_NEAR(span.Low().value(), 1000 - 10 - 3 * 10, 1e-9);
}

TEST(EnergySpanTest, ThrottlingIsUnknownUntilASourceReportsIt) {
  EnergySpan span;
  EXPECT_EQ(span.throttled, std::nullopt);
  span.AddThrottling(absl::Seconds(2), false);
  EXPECT_EQ(span.throttled, absl::ZeroDuration());
  span.AddThrottling(absl::Seconds(3), true);
  EXPECT_EQ(span.throttled, absl::Seconds(3));
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

TEST(RecentPeakTest, RisesAtOnceAndFallsWithATimeConstantOfTenMinutes) {
  RecentPeak peak;
  EXPECT_EQ(peak.power(), std::nullopt);
  peak.Add(Watts(5), absl::Seconds(1));
  peak.Add(Watts(25), absl::Seconds(1));
  EXPECT_EQ(peak.power(), Watts(25));
  for (int i = 0; i < 600; ++i) {
    peak.Add(Watts(5), absl::Seconds(1));
  }
  EXPECT_NEAR(peak.power()->value(), 5 + 20 * 0.3679, 0.01);
}

}  // namespace
}  // namespace wattle::telemetry
