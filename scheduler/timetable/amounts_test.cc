// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/timetable/amounts.h"

#include "gtest/gtest.h"

namespace wattle::timetable {
namespace {

TEST(AmountsTest, WhatIsDrawnRoundsUpAndWhatIsThereRoundsDown) {
  EXPECT_EQ(SecondsUp(absl::Milliseconds(1001)), 2);
  EXPECT_EQ(SecondsUp(absl::Seconds(2)), 2);
  EXPECT_EQ(MillijoulesUp(Joules(1.0001)), 1001);
  EXPECT_EQ(MillijoulesUp(Joules(1)), 1000);
  EXPECT_EQ(MillijoulesDown(Joules(1.0009)), 1000);
  EXPECT_EQ(MilliwattsUp(Watts(0.0001)), 1);
  EXPECT_EQ(MilliwattsDown(Watts(2.9999)), 2999);
}

}  // namespace
}  // namespace wattle::timetable
