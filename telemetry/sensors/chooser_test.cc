// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/chooser.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

using testing::Optional;

Monotonic ChosenAt(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}

class ChooserTest : public testing::Test {
 protected:
  void Answer(size_t source, double from, double to) {
    for (double at = from; at <= to; ++at) {
      chooser_.OnReading(source, ChosenAt(at));
    }
  }
  Chooser chooser_;
  const size_t rapl_ = chooser_.Add(50, absl::Seconds(1));
  const size_t battery_ = chooser_.Add(40, absl::Seconds(1));
};

TEST_F(ChooserTest, TheBestThatAnswersIsChosenAndNoneWhereNoneDoes) {
  EXPECT_EQ(chooser_.Choose(ChosenAt(0)), std::nullopt);
  chooser_.OnReading(rapl_, ChosenAt(0));
  EXPECT_THAT(chooser_.Choose(ChosenAt(0)), Optional(rapl_));
  chooser_.OnReading(battery_, ChosenAt(1));
  EXPECT_THAT(chooser_.Choose(ChosenAt(1)), Optional(battery_));
}

TEST_F(ChooserTest, ASourceThatDiesIsReplacedAndTakesOverAgainOnceItHasHeld) {
  Answer(rapl_, 0, 100);
  Answer(battery_, 0, 20);
  EXPECT_THAT(chooser_.Choose(ChosenAt(20)), Optional(battery_));
  EXPECT_THAT(chooser_.Choose(ChosenAt(30)), Optional(battery_));
  EXPECT_THAT(chooser_.Choose(ChosenAt(31)), Optional(rapl_));
  Answer(battery_, 60, 75);
  EXPECT_THAT(chooser_.Choose(ChosenAt(69)), Optional(rapl_));
  EXPECT_THAT(chooser_.Choose(ChosenAt(70)), Optional(battery_));
}

TEST_F(ChooserTest, WhenTheChosenOneDiesTheBestOfTheOthersFollowsAtOnce) {
  const size_t plug = chooser_.Add(45, absl::Seconds(1));
  Answer(battery_, 0, 20);
  EXPECT_THAT(chooser_.Choose(ChosenAt(20)), Optional(battery_));
  Answer(rapl_, 28, 31);
  Answer(plug, 29, 31);
  EXPECT_THAT(chooser_.Choose(ChosenAt(31)), Optional(plug));
}

TEST_F(ChooserTest, ASlowSourceIsGivenThreeCadences) {
  Chooser chooser;
  const size_t slow = chooser.Add(1, absl::Seconds(60));
  chooser.OnReading(slow, ChosenAt(0));
  EXPECT_THAT(chooser.Choose(ChosenAt(180)), Optional(slow));
  EXPECT_EQ(chooser.Choose(ChosenAt(181)), std::nullopt);
}

}  // namespace
}  // namespace wattle::telemetry
