// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/contradiction.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/profiles/testing/row_for_test.h"

namespace wattle::scheduler {
namespace {

std::vector<Contradiction> Find(const std::vector<v1::ProfileRow>& rows) {
  ProfileTable table;
  for (const v1::ProfileRow& row : rows) {
    EXPECT_THAT(table.Put(row), IsOk());
  }
  return FindContradictions(table);
}

TEST(ContradictionTest, TwoBoardsThatDifferByFortyPerCent) {
  const auto found = Find({RowForTest("d1", 0.010), RowForTest("d2", 0.014)});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].row.device_id(), "d2");
  EXPECT_EQ(found[0].other.device_id(), "d1");
  EXPECT_NEAR(found[0].ratio, 1.4, 1e-9);
  EXPECT_GT(found[0].allowed_ratio, 1.3);
  EXPECT_LT(found[0].allowed_ratio, 1.4);
}

TEST(ContradictionTest, WhatTheIntervalsAllowIsNone) {
  EXPECT_TRUE(Find({RowForTest("d1", 0.010), RowForTest("d2", 0.0125)}).empty());
  // A difference of 40 % again, while repeats of one board differ as much.
  v1::ProfileRow noisy = RowForTest("d2", 0.014);
  noisy.mutable_seconds_per_unit()->set_relative_deviation(0.2);
  EXPECT_TRUE(Find({RowForTest("d1", 0.010), noisy}).empty());
  // One run, another mode, another workload, an emulated board beside a real one, a class's row.
  EXPECT_TRUE(Find({RowForTest("d1", 0.010), RowForTest("d2", 0.014, /*runs=*/1)}).empty());
  v1::ProfileRow other = RowForTest("d2", 0.014);
  other.set_power_mode("MODE_15W");
  EXPECT_TRUE(Find({RowForTest("d1", 0.010), other}).empty());
  other = RowForTest("d2", 0.014);
  other.mutable_signature()->set_batch_size(4);
  EXPECT_TRUE(Find({RowForTest("d1", 0.010), other}).empty());
  other = RowForTest("d2", 0.014);
  other.set_emulated(true);
  EXPECT_TRUE(Find({RowForTest("d1", 0.010), other}).empty());
  EXPECT_TRUE(Find({RowForTest("d1", 0.010), RowForTest("", 0.014)}).empty());
  // From before a change.
  other = RowForTest("d2", 0.014);
  other.mutable_change()->set_time_ratio(1.4);
  EXPECT_TRUE(Find({RowForTest("d1", 0.010), other}).empty());
}

TEST(ContradictionTest, OfThreeBoardsTheOddOneIsNamed) {
  const auto found =
      Find({RowForTest("d1", 0.014), RowForTest("d2", 0.010), RowForTest("d3", 0.0142)});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].row.device_id(), "d2");
  EXPECT_EQ(found[0].other.device_id(), "d1");
}

TEST(ContradictionTest, OneBoardAgainstFifty) {
  std::vector<v1::ProfileRow> rows;
  for (int i = 0; i < 50; ++i) {
    rows.push_back(RowForTest("d" + std::to_string(i), 0.010 * (1 + 0.002 * i)));
  }
  rows.push_back(RowForTest("odd", 0.016));
  const auto found = Find(rows);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].row.device_id(), "odd");
  EXPECT_EQ(found[0].other.device_id(), "d49") << "the nearest one";
}

TEST(ContradictionTest, JoulesContradictToo) {
  v1::ProfileRow hungry = RowForTest("d2", 0.010);
  hungry.mutable_power_watts()->set_mean(18);
  hungry.mutable_energy_joules_per_unit()->set_mean(0.18);
  const auto found = Find({RowForTest("d1", 0.010), hungry});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].quantity, Quantity::kEnergy);
  EXPECT_EQ(found[0].row.device_id(), "d2");
}

TEST(ContradictionTest, MachinesOfAGenericClassHaveNothingInCommon) {
  v1::ProfileRow a = RowForTest("d1", 0.010);
  v1::ProfileRow b = RowForTest("d2", 0.10);
  a.set_device_class("generic-x86-64");
  b.set_device_class("generic-x86-64");
  EXPECT_TRUE(Find({a, b}).empty());
}

}  // namespace
}  // namespace wattle::scheduler
