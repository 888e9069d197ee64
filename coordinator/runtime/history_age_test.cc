// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/history_age.h"

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace wattle::runtime {
namespace {

constexpr absl::Duration kTwoYears = absl::Hours(24 * 730);

core::Instant After(absl::Duration passed, absl::Duration clock_ahead = absl::ZeroDuration()) {
  return {absl::FromUnixSeconds(1'800'000'000) + passed + clock_ahead, Monotonic(passed)};
}

TEST(HistoryAgeTest, LooksFourTimesADay) {
  HistoryAge age(kTwoYears, After(absl::ZeroDuration()));
  EXPECT_EQ(age.RemovableBefore(After(absl::Minutes(359))), std::nullopt);
  EXPECT_EQ(age.RemovableBefore(After(absl::Hours(6))), After(absl::Hours(6)).wall - kTwoYears);
  EXPECT_EQ(age.RemovableBefore(After(absl::Hours(11))), std::nullopt);
  EXPECT_EQ(age.RemovableBefore(After(absl::Hours(13))), After(absl::Hours(13)).wall - kTwoYears);
}

TEST(HistoryAgeTest, LooksOftenAtAShortHistory) {
  HistoryAge age(absl::Hours(8), After(absl::ZeroDuration()));
  EXPECT_EQ(age.RemovableBefore(After(absl::Minutes(59))), std::nullopt);
  EXPECT_EQ(age.RemovableBefore(After(absl::Hours(1))),
            After(absl::Hours(1)).wall - absl::Hours(8));
}

TEST(HistoryAgeTest, AClockThatJumpsAheadForAWhileRemovesNothingMore) {
  HistoryAge age(kTwoYears, After(absl::ZeroDuration()));
  const absl::Duration ten_years = absl::Hours(24 * 3650);
  EXPECT_EQ(age.RemovableBefore(After(absl::Hours(6), ten_years)),
            After(absl::Hours(6)).wall - kTwoYears);
  // Corrected before the next look.
  EXPECT_EQ(age.RemovableBefore(After(absl::Hours(12))), After(absl::Hours(12)).wall - kTwoYears);
  EXPECT_EQ(age.RemovableBefore(After(absl::Hours(18), -ten_years)),
            After(absl::Hours(18)).wall - ten_years - kTwoYears);
}

TEST(HistoryAgeTest, ForEverIsForEver) {
  HistoryAge age(absl::InfiniteDuration(), After(absl::ZeroDuration()));
  EXPECT_EQ(age.RemovableBefore(After(absl::Hours(24 * 36500))), std::nullopt);
}

}  // namespace
}  // namespace wattle::runtime
