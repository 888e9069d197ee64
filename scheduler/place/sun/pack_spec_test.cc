// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/sun/pack_spec.h"

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/timetable/amounts.h"

namespace wattle::scheduler {
namespace {

// A pack of 40 Wh whose board idles at 1 W and has to stay alive until that time of each day.
class FloorTest : public testing::Test {
 protected:
  timetable::Millijoules FloorAt(const std::string& alive_until, int utc_offset_minutes,
                                 absl::Time at) {
    DeviceView view = OrinNano();
    SetBattery(40, 0.9, &view);
    view.device.mutable_info()->set_idle_power_watts(1);
    for (int hour = 0; hour < 24; ++hour) {
      view.device.mutable_ledger()->add_harvest_power_watts_by_hour(5);
    }
    Snapshot snapshot = MakeSnapshot({view}, table_);
    v1::Policy& policy = snapshot.policies.emplace_back();
    policy.set_name("mast");
    policy.set_reserve_state_of_charge_ratio(0.1);
    policy.set_stay_alive_until(alive_until);
    policy.set_utc_offset_minutes(utc_offset_minutes);
    const std::vector<size_t> devices = {0};
    timetable::Millijoules floor = 0;
    for (const timetable::FloorStep& step :
         SpecOf({snapshot, devices, snapshot.devices[0]}).floor) {
      floor = step.from <= absl::ToUnixSeconds(at) ? step.charge : floor;
    }
    return floor;
  }

  const ProfileTable table_ = ProfileTable::Priors();
};

// The time is 08:00 UTC. Exactly at that moment the idle draw of the next day begins to count.
TEST_F(FloorTest, RisesAtEachTimeToStayAlive) {
  constexpr timetable::Millijoules kWattHour = 3'600'000;
  const absl::Time eight = kTestNow;
  const auto difference = [&](const std::string& until, int offset, absl::Duration in) {
    const absl::Time at = eight + in;
    return FloorAt(until, offset, at) - FloorAt(until, offset, at - absl::Seconds(1));
  };
  // From 06:00 on 30 min count, from 06:30 on 24 h.
  EXPECT_EQ(difference("06:30", 0, absl::Hours(22.5)), 47 * kWattHour / 2);
  EXPECT_EQ(difference("06:30", 0, absl::Hours(46.5)), 47 * kWattHour / 2) << "each day";
  // 06:00 in India is 00:30 UTC.
  EXPECT_EQ(difference("06:00", 330, absl::Hours(16.5)), 47 * kWattHour / 2);
  // Between such times it falls by the hour.
  EXPECT_EQ(difference("06:30", 0, absl::Hours(23)), -kWattHour / 2);
  EXPECT_EQ(difference("06:30", 0, absl::Hours(24)), -kWattHour);
  // After a moment that does not recur nothing counts.
  EXPECT_EQ(difference("2027-01-16T06:30:00Z", 0, absl::Hours(22.5)), -kWattHour / 2);
  EXPECT_EQ(difference("2027-01-16T06:30:00Z", 0, absl::Hours(46.5)), 0);
}

}  // namespace
}  // namespace wattle::scheduler
