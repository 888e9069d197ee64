// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/next_run.h"

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/profiles/testing/row_for_test.h"

namespace wattle::scheduler {
namespace {

v1::DeviceInfo InfoOf(const std::string& id) {
  v1::DeviceInfo info;
  info.set_device_id(id);
  info.set_device_class("board-a");
  info.set_engine_version("wattle-0.1.0");
  return info;
}

std::optional<NextRun> Next(const std::vector<v1::ProfileRow>& rows,
                            const std::vector<v1::DeviceInfo>& devices) {
  ProfileTable table;
  for (const v1::ProfileRow& row : rows) {
    EXPECT_THAT(table.Put(row), IsOk());
  }
  return NextRunToMeasure(table, devices);
}

v1::ProfileRow Published(int layers) {
  v1::ProfileRow row = RowForTest("", 0.01, 1);
  row.set_source(v1::PROFILE_SOURCE_PUBLISHED);
  row.mutable_signature()->mutable_model()->set_layers(layers);
  return row;
}

TEST(NextRunTest, ABoardWithoutARunOfItsOwn) {
  const auto next =
      Next({RowForTest("", 0.01), RowForTest("d1", 0.01)}, {InfoOf("d1"), InfoOf("d2")});
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->device_id, "d2");
  EXPECT_GT(next->ratio_now, 1.4);
  EXPECT_LT(next->ratio_after, 1.16);
  EXPECT_GT(next->ratio_after, 1.1);
}

TEST(NextRunTest, APublishedRowIsWiderThanAClasss) {
  const auto next = Next({RowForTest("", 0.01), RowForTest("d1", 0.01), Published(12)},
                         {InfoOf("d1"), InfoOf("d2")});
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->row.signature().model().layers(), 12);
  // A measured row of the class replaces it, and a measured board needs no run.
  EXPECT_FALSE(Next({RowForTest("", 0.01), RowForTest("d1", 0.01), Published(6)}, {InfoOf("d1")})
                   .has_value());
}

TEST(NextRunTest, ARowFromBeforeAChangeIsTheWidest) {
  v1::ProfileRow outdated = RowForTest("d1", 0.01);
  outdated.mutable_change()->set_time_ratio(2);
  const auto next = Next({RowForTest("", 0.01), outdated}, {InfoOf("d1"), InfoOf("d2")});
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->device_id, "d1");
  EXPECT_GT(next->ratio_now, 2);
}

TEST(NextRunTest, AmongEqualsWhatRanLast) {
  v1::ProfileRow newer = RowForTest("", 0.01);
  newer.mutable_signature()->mutable_model()->set_layers(12);
  newer.set_updated_unix_seconds(1000);
  v1::ProfileRow older = RowForTest("", 0.01);
  older.mutable_signature()->mutable_model()->set_layers(24);
  older.set_updated_unix_seconds(10);
  const auto next = Next({RowForTest("", 0.01), newer, older}, {InfoOf("d1")});
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->row.signature().model().layers(), 12);
}

TEST(NextRunTest, NothingWhereNothingCanBeRun) {
  EXPECT_FALSE(Next({RowForTest("", 0.01), RowForTest("d1", 0.01)}, {InfoOf("d1")}).has_value());
  EXPECT_FALSE(Next({RowForTest("", 0.01)}, {}).has_value());
  v1::DeviceInfo device = InfoOf("d1");
  device.clear_engine_version();
  EXPECT_FALSE(Next({RowForTest("", 0.01)}, {device}).has_value());
  device = InfoOf("d1");
  device.set_emulated(true);
  EXPECT_FALSE(Next({RowForTest("", 0.01)}, {device}).has_value());
  device = InfoOf("d1");
  device.set_power_mode("MODE_25W");
  v1::ProfileRow of_mode = RowForTest("", 0.01);
  of_mode.set_power_mode("MODE_15W");
  EXPECT_FALSE(Next({of_mode}, {device}).has_value());
  device.set_sets_power_modes(true);
  EXPECT_TRUE(Next({of_mode}, {device}).has_value());
}

}  // namespace
}  // namespace wattle::scheduler
