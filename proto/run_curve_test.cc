// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/run_curve.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace wattle {
namespace {

// A run of ten watts with a step a second, and a loss that is the number of the step.
RunCurve::Totals At(int64_t step) {
  const auto seconds = static_cast<double>(step);
  return {.seconds = seconds, .energy_joules = 10.0 * seconds, .covered_seconds = seconds};
}

TEST(RunCurveTest, AShortRunHasAPointOfEachStep) {
  RunCurve curve;
  EXPECT_TRUE(curve.empty());
  curve.AddHeldoutLoss(9);
  for (int64_t step = 1; step <= 3; ++step) {
    curve.AddStep(step, static_cast<double>(step), At(step));
  }
  curve.AddHeldoutLoss(5);
  const RunCurve::Points points = curve.ToProto();
  ASSERT_EQ(points.size(), 3);
  EXPECT_EQ(points[0].heldout_loss(), 9) << "measured before the first step";
  EXPECT_EQ(points[1].step(), 2);
  EXPECT_EQ(points[1].seconds(), 2);
  EXPECT_EQ(points[1].loss(), 2);
  EXPECT_EQ(points[1].heldout_loss(), 0);
  EXPECT_TRUE(points[1].has_power());
  EXPECT_EQ(points[1].power_watts(), 10);
  EXPECT_EQ(points[2].heldout_loss(), 5) << "measured after the last step";
}

TEST(RunCurveTest, ALongRunKeepsItsShapeInFewPoints) {
  RunCurve curve;
  constexpr int64_t kSteps = 10'001;
  for (int64_t step = 1; step <= kSteps; ++step) {
    curve.AddStep(step, static_cast<double>(step), At(step));
    ASSERT_LE(curve.ToProto().size(), static_cast<int>(RunCurve::kPointsMax));
  }
  const RunCurve::Points points = curve.ToProto();
  EXPECT_GT(points.size(), static_cast<int>(RunCurve::kPointsMax) / 2);
  EXPECT_EQ(points[points.size() - 1].step(), kSteps) << "nothing of the end is lost";
  double before = 0;
  for (const v1::CurvePoint& point : points) {
    EXPECT_GT(point.seconds(), before);
    EXPECT_NEAR(point.loss(), (before + 1 + point.seconds()) / 2, 1e-9) << "the mean since then";
    EXPECT_NEAR(point.power_watts(), 10, 1e-9);
    before = point.seconds();
  }
}

TEST(RunCurveTest, AnEarlierProcessIsGoneOnFrom) {
  RunCurve first;
  RunCurve whole;
  for (int64_t step = 1; step <= 300; ++step) {
    RunCurve& curve = first;
    if (step <= 200) {
      curve.AddStep(step, 2.0, At(step));
    }
    whole.AddStep(step, 2.0, At(step));
  }
  RunCurve second(first.ToProto(), At(200));
  for (int64_t step = 201; step <= 300; ++step) {
    second.AddStep(step, 2.0, At(step));
  }
  const RunCurve::Points points = second.ToProto();
  EXPECT_LE(points.size(), static_cast<int>(RunCurve::kPointsMax));
  double before = 0;
  for (const v1::CurvePoint& point : points) {
    EXPECT_GT(point.seconds(), before);
    EXPECT_NEAR(point.power_watts(), 10, 1e-9);
    EXPECT_NEAR(point.loss(), 2, 1e-9);
    before = point.seconds();
  }
  EXPECT_EQ(before, 300);
}

TEST(RunCurveTest, TimeWithoutSamplesHasNoPower) {
  RunCurve curve;
  curve.AddStep(1, 1, {.seconds = 1, .energy_joules = 0, .covered_seconds = 0});
  curve.AddStep(2, std::numeric_limits<double>::quiet_NaN(),
                {.seconds = 2, .energy_joules = 6, .covered_seconds = 0.5});
  const RunCurve::Points points = curve.ToProto();
  EXPECT_FALSE(points[0].has_power());
  EXPECT_EQ(points[1].power_watts(), 12);
  EXPECT_EQ(points[1].loss(), 0) << "not a number: none";
}

}  // namespace
}  // namespace wattle
