// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/without_device.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/profiles/testing/row_for_test.h"

namespace wattle::scheduler {
namespace {

using testing::UnorderedElementsAre;

class WithoutDeviceTest : public testing::Test {
 protected:
  // A run of 100 units at this time.
  void Run(const std::string& device_id, double seconds_per_unit, int64_t at) {
    v1::DeviceInfo device;
    device.set_device_id(device_id);
    device.set_device_class("board-a");
    v1::Receipt receipt;
    receipt.set_attempt_id("j1.1");
    receipt.set_peak_memory_bytes(1000);
    *receipt.mutable_work()->mutable_signature() = RowForTest("", 1).signature();
    receipt.mutable_work()->set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
    receipt.mutable_work()->set_units(100);
    receipt.mutable_run()->set_seconds(100 * seconds_per_unit);
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table_, device, receipt, absl::FromUnixSeconds(at))) {
      ASSERT_THAT(table_.Put(row), IsOk());
    }
  }
  // The table after the device's reports since then are discarded.
  [[nodiscard]] ProfileTable Rest(const std::string& device_id,
                                  absl::Time since = absl::InfinitePast()) const {
    ProfileTable rest = WithoutDevice(table_, device_id);
    for (const v1::ProfileRow& row : RowsThatRemain(table_, device_id, since)) {
      EXPECT_THAT(rest.Put(row), IsOk());
    }
    return rest;
  }
  static std::vector<std::string> DevicesOf(const ProfileTable& table) {
    std::vector<std::string> devices;
    for (const v1::ProfileRow& row : table.Rows()) {
      devices.push_back(row.device_id().empty() ? "class" : row.device_id());
    }
    return devices;
  }
  static double SecondsOf(const ProfileTable& table, const std::string& device_id) {
    const v1::ProfileRow* const row = table.FindLike(RowForTest(device_id, 1));
    return row == nullptr ? 0 : row->seconds_per_unit().mean();
  }

  ProfileTable table_;
};

TEST_F(WithoutDeviceTest, RowsOfTheDeviceEndAndItsClassIsThatOfTheOthers) {
  Run("honest", 1, 10);
  Run("thief", 0.1, 20);
  Run("thief", 0.1, 30);
  const ProfileTable rest = Rest("thief");
  EXPECT_THAT(DevicesOf(rest), UnorderedElementsAre("class", "honest"));
  EXPECT_NEAR(SecondsOf(rest, ""), 1, 1e-9);
  EXPECT_EQ(rest.FindLike(RowForTest("", 1))->seconds_per_unit().count(), 1);
  EXPECT_EQ(rest.FindLike(RowForTest("", 1))->updated_unix_seconds(), 10);
}

TEST_F(WithoutDeviceTest, AClassThatTheDeviceAloneMeasuredIsNotKnown) {
  Run("thief", 0.1, 20);
  EXPECT_THAT(DevicesOf(Rest("thief")), UnorderedElementsAre());
  EXPECT_THAT(DevicesOf(Rest("nobody")), UnorderedElementsAre("class", "thief"));
}

TEST_F(WithoutDeviceTest, RowsOfOtherWorkStay) {
  Run("thief", 0.1, 20);
  v1::ProfileRow other = RowForTest("", 1);
  other.mutable_signature()->set_batch_size(4);
  ASSERT_THAT(table_.Put(other), IsOk());
  v1::ProfileRow imported = RowForTest("", 1);
  imported.set_source(v1::PROFILE_SOURCE_IMPORTED);
  ASSERT_THAT(table_.Put(imported), IsOk());
  EXPECT_EQ(Rest("thief").size(), 2U);
}

TEST_F(WithoutDeviceTest, RunsFromBeforeGoOnCounting) {
  Run("honest", 1, 10);
  Run("thief", 1.1, 20);
  Run("thief", 1.3, 30);
  Run("thief", 0.1, 1000);
  const ProfileTable rest = Rest("thief", absl::FromUnixSeconds(1000));
  EXPECT_THAT(DevicesOf(rest), UnorderedElementsAre("class", "honest", "thief"));
  EXPECT_NEAR(SecondsOf(rest, "thief"), 1.2, 1e-9);
  const v1::ProfileRow& thief = *rest.FindLike(RowForTest("thief", 1));
  EXPECT_EQ(thief.runs_size(), 2);
  EXPECT_EQ(thief.peak_memory_bytes(), 0) << "no run tells it";
  EXPECT_EQ(thief.updated_unix_seconds(), 30);
  EXPECT_GT(SecondsOf(rest, ""), 1.0);
  EXPECT_LT(SecondsOf(rest, ""), 1.2);
}

TEST_F(WithoutDeviceTest, WhatIsOlderThanTheTheftStaysAsItWas) {
  Run("honest", 1, 10);
  Run("thief", 1.1, 20);
  const ProfileTable rest = Rest("thief", absl::FromUnixSeconds(21));
  ASSERT_EQ(rest.size(), table_.size());
  for (const v1::ProfileRow& row : table_.Rows()) {
    EXPECT_EQ(rest.FindLike(row)->SerializeAsString(), row.SerializeAsString());
  }
}

TEST_F(WithoutDeviceTest, AProbeEnds) {
  v1::ProfileRow probe = RowForTest("thief", 1, 1);
  probe.set_source(v1::PROFILE_SOURCE_PROBED);
  probe.set_probe_attempt_id("j1.1");
  probe.set_updated_unix_seconds(20);
  ASSERT_THAT(table_.Put(probe), IsOk());
  EXPECT_EQ(Rest("thief").size(), 0U);
  EXPECT_EQ(Rest("thief", absl::FromUnixSeconds(21)).size(), 1U);
}

}  // namespace
}  // namespace wattle::scheduler
