// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests which rows are exported, what they reveal about the fleet, and which heads of files are
// read.
#include "scheduler/profiles/exported_rows.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/profiles/testing/row_for_test.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

ProfileTable TableOf(const std::vector<v1::ProfileRow>& rows) {
  ProfileTable table = ProfileTable::Priors();
  for (const v1::ProfileRow& row : rows) {
    EXPECT_THAT(table.Put(row), IsOk());
  }
  return table;
}

v1::ProfileRow WithSource(v1::ProfileRow row, v1::ProfileSource source) {
  row.set_source(source);
  return row;
}

v1::ProfileExport MakeFile() {
  v1::ProfileExport file;
  file.set_format("wattle-profile-rows");
  file.set_version(1);
  file.set_fleet("00112233aabbccdd");
  file.set_exported_unix_seconds(1'800'000'000);
  *file.add_rows() = WithoutOrigin(RowForTest("", 0.01));
  return file;
}

TEST(ExportedRowsTest, TheClasssMeasuredRowsLeaveWithoutTheirOrigin) {
  v1::ProfileRow of_class = RowForTest("", 0.01);
  of_class.set_source_note("attempt j1.1");
  const ProfileTable table =
      TableOf({of_class, RowForTest("d1", 0.02),
               WithSource(RowForTest("", 0.03), v1::PROFILE_SOURCE_IMPORTED),
               WithSource(RowForTest("d1", 0.04), v1::PROFILE_SOURCE_PROBED)});
  const std::vector<v1::ProfileRow> rows = RowsToExport(table, "", "");
  ASSERT_EQ(rows.size(), 1U) << "neither published, imported nor probed rows";
  EXPECT_EQ(rows[0].seconds_per_unit().mean(), 0.01);
  EXPECT_EQ(rows[0].source_note(), "");
  EXPECT_THAT(RowsToExport(table, "board-b", ""), IsEmpty());
  EXPECT_EQ(RowsToExport(table, "board-a", "").size(), 1U);
}

TEST(ExportedRowsTest, ADevicesRowsLeaveAsRowsOfItsClass) {
  v1::ProfileRow of_device = RowForTest("d1", 0.02);
  of_device.set_emulated(true);
  of_device.add_runs()->set_seconds_per_unit(0.02);
  of_device.mutable_change()->set_time_ratio(1.5);
  of_device.mutable_change()->set_measured_since(true);
  v1::ProfileRow outdated = RowForTest("d1", 0.05);
  outdated.mutable_signature()->set_batch_size(2);
  outdated.mutable_change()->set_time_ratio(1.5);
  const ProfileTable table = TableOf({of_device, outdated, RowForTest("d2", 0.03)});
  const std::vector<v1::ProfileRow> rows = RowsToExport(table, "", "d1");
  ASSERT_EQ(rows.size(), 1U) << "what the device was before its change says nothing";
  EXPECT_EQ(rows[0].device_id(), "");
  EXPECT_TRUE(rows[0].emulated());
  EXPECT_THAT(rows[0].runs(), IsEmpty());
  EXPECT_FALSE(rows[0].has_change());
}

TEST(ExportedRowsTest, HeadsThatAreNotReadAreNamedWithTheirValue) {
  EXPECT_THAT(CheckExportHead(MakeFile()), IsOk());
  const auto expect = [](const v1::ProfileExport& file, const std::string& text) {
    EXPECT_THAT(CheckExportHead(file),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  };
  v1::ProfileExport file = MakeFile();
  file.set_format("");
  expect(file, "format: \"\", wanted \"wattle-profile-rows\": this is no file of wattle profile");
  file = MakeFile();
  file.set_version(2);
  expect(file, "version: 2, and this version of Wattle reads 1; export the rows again");
  file = MakeFile();
  file.clear_rows();
  expect(file, "rows: none, so there is nothing to import");
  file = MakeFile();
  file.mutable_rows()->Reserve(kExportRowsMax + 1);
  for (int row = 0; row < kExportRowsMax; ++row) {
    file.add_rows();
  }
  expect(file, "rows: 2001, and a file has at most 2000; export one class at a time");
  file = MakeFile();
  file.set_exported_unix_seconds(std::nan(""));
  expect(file, "exported_unix_seconds: nan, wanted seconds since 1970");
  file = MakeFile();
  file.set_fleet(std::string(65, 'x'));
  expect(file, "fleet: 65 bytes, wanted at most 64");
}

TEST(ExportedRowsTest, ImportedRowsAreRemovedAlone) {
  v1::ProfileRow other = WithSource(RowForTest("", 0.03), v1::PROFILE_SOURCE_IMPORTED);
  other.set_device_class("board-b");
  ProfileTable table = TableOf({RowForTest("", 0.01), RowForTest("d1", 0.02), other,
                                WithSource(RowForTest("", 0.03), v1::PROFILE_SOURCE_IMPORTED)});
  const size_t all = table.size();
  const ProfileTable before = table;
  EXPECT_EQ(table.RemoveImported("board-a"), 1);
  EXPECT_EQ(table.size(), all - 1);
  EXPECT_NE(table.FindLike(RowForTest("", 0.01)), nullptr);
  EXPECT_NE(table.FindLike(other), nullptr);
  EXPECT_EQ(table.RemoveImported(""), 1);
  EXPECT_EQ(table.RemoveImported(""), 0);
  EXPECT_EQ(table.size(), all - 2);
  EXPECT_EQ(before.size(), all) << "a copy keeps its rows";
}

TEST(ExportedRowsTest, NoDeviceHasAnImportedRow) {
  EXPECT_THAT(ProfileTable().Put(WithSource(RowForTest("d1", 0.01), v1::PROFILE_SOURCE_IMPORTED)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("device_id: set")));
}

}  // namespace
}  // namespace wattle::scheduler
