// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/pool.h"

#include <vector>

#include "gtest/gtest.h"

namespace wattle::fleet_plan {
namespace {

TEST(PoolTest, TellsTheFirstOfTheEarliestSlotsAfterEachChange) {
  for (size_t slots = 1; slots <= 9; ++slots) {
    Pool pool(slots, 3);
    std::vector<timetable::Seconds> times(slots, 3);
    EXPECT_EQ(pool.earliest(), 3);
    EXPECT_EQ(pool.EarliestSlot(), 0U);
    for (size_t change = 0; change < 60; ++change) {
      const size_t slot = change * 7 % slots;
      times[slot] =
          change % 5 == 4 ? Pool::kNever : static_cast<timetable::Seconds>(change * 13 % 6);
      pool.Set(slot, times[slot]);
      size_t earliest = 0;
      for (size_t i = 1; i < slots; ++i) {
        earliest = times[i] < times[earliest] ? i : earliest;
      }
      EXPECT_EQ(pool.earliest(), times[earliest]) << slots << " slots, change " << change;
      EXPECT_EQ(pool.EarliestSlot(), earliest) << slots << " slots, change " << change;
    }
  }
}

}  // namespace
}  // namespace wattle::fleet_plan
