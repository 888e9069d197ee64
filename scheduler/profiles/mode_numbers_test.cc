// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/mode_numbers.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

#include "scheduler/profiles/testing/row_for_test.h"

namespace wattle::scheduler {
namespace {

v1::PowerMode ModeForTest(double cpu_mhz, int cores) {
  v1::PowerMode mode;
  mode.set_name("15W");
  mode.set_nominal_power_watts(15);
  mode.set_cpu_mhz(cpu_mhz);
  mode.set_cores(cores);
  return mode;
}

TEST(ModeNumbersTest, ANumberThatBothKnowTellsTwoModesApart) {
  const ModeNumbers known = ModeNumbersOf(ModeForTest(1500, 4));
  EXPECT_TRUE(MaySetTheSame(known, known));
  EXPECT_FALSE(MaySetTheSame(known, ModeNumbersOf(ModeForTest(900, 4))));
  EXPECT_FALSE(MaySetTheSame(known, ModeNumbersOf(ModeForTest(1500, 2))));
  v1::PowerMode mode = ModeForTest(1500, 4);
  mode.set_nominal_power_watts(10);
  EXPECT_FALSE(MaySetTheSame(known, ModeNumbersOf(mode)));
  mode = ModeForTest(1500, 4);
  mode.set_memory_mhz(2133);  // A newer worker reports more.
  EXPECT_TRUE(MaySetTheSame(known, ModeNumbersOf(mode)));
  EXPECT_TRUE(MaySetTheSame(known, ModeNumbers()));
}

TEST(ModeNumbersTest, WhatNoBoardHasIsNotKnown) {
  for (const double mhz : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(ModeNumbersOf(ModeForTest(mhz, -2)).cpu_mhz, 0);
    EXPECT_EQ(ModeNumbersOf(ModeForTest(mhz, -2)).cores, 0);
  }
}

TEST(ModeNumbersTest, TheLatestRunThatKnowsItsModeTellsTheRows) {
  v1::ProfileRow row = RowForTest("d1", 0.001);
  row.set_power_mode("15W");
  EXPECT_EQ(ModeOfRuns(row), nullptr);
  EXPECT_EQ(ModeNameOf(row), "15W");
  *row.add_runs()->mutable_power_mode() = ModeForTest(1500, 4);
  row.add_runs();
  row.set_power_mode(LabelOf(ModeForTest(1500, 4)));
  EXPECT_EQ(row.power_mode(), "15W (15 W, 1500 MHz, 4 cores)");
  ASSERT_NE(ModeOfRuns(row), nullptr);
  EXPECT_EQ(ModeNameOf(row), "15W");
  v1::DeviceInfo device;
  EXPECT_TRUE(IsOfListedMode(row, device, "15W"));
  *device.add_power_modes() = ModeForTest(1500, 4);
  EXPECT_TRUE(IsOfListedMode(row, device, "15W"));
  EXPECT_FALSE(IsOfListedMode(row, device, "7W"));
  device.mutable_power_modes(0)->set_cpu_mhz(900);
  EXPECT_FALSE(IsOfListedMode(row, device, "15W"));
}

}  // namespace
}  // namespace wattle::scheduler
