// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/owner_hold.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::agent {
namespace {

const absl::Time kNine = absl::FromUnixSeconds(1'800'003'600);
const absl::Time kNotSet = absl::UnixEpoch() + absl::Hours(1);

Instant At(absl::Duration since_boot, absl::Time civil) {
  policy::KnownTime known = {.time = civil};
  if (civil != kNotSet) {
    known.error = absl::ZeroDuration();
    known.source = policy::TimeSource::kKernel;
  }
  return {Monotonic(since_boot), Monotonic(since_boot), known};
}

OwnerHold HourFrom(const Instant& now) {
  OwnerHold hold;
  hold.Begin(absl::Hours(1), now);
  return hold;
}

TEST(OwnerHoldTest, LastsAboveZeroAndAtMostThirtyDays) {
  EXPECT_THAT(CheckOwnerHold(absl::Seconds(1)), IsOk());
  EXPECT_THAT(CheckOwnerHold(absl::Hours(720)), IsOk());
  for (const absl::Duration time : {absl::ZeroDuration(), -absl::Hours(1), absl::Hours(721),
                                    absl::InfiniteDuration(), -absl::InfiniteDuration()}) {
    EXPECT_THAT(CheckOwnerHold(time),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         testing::HasSubstr("wanted above 0 and at most 720h (30 days)")));
  }
}

TEST(OwnerHoldTest, EndsByBootTimeWhateverTheClockShows) {
  OwnerHold hold = HourFrom(At(absl::Minutes(10), kNine));
  EXPECT_FALSE(hold.EndIfOver(At(absl::Minutes(69), kNine + absl::Hours(240))));
  EXPECT_TRUE(hold.active());
  EXPECT_TRUE(hold.EndIfOver(At(absl::Minutes(70), kNotSet)));
  EXPECT_FALSE(hold.active());
}

TEST(OwnerHoldTest, ARestartOfTheWorkerChangesNothing) {
  OwnerHold before = HourFrom(At(absl::Minutes(10), kNine));
  OwnerHold hold;
  hold.Resume(before.Record("a", At(absl::Minutes(12), kNine + absl::Minutes(2))), "a",
              At(absl::Minutes(40), kNine + absl::Hours(99)));
  EXPECT_EQ(hold.Left(At(absl::Minutes(40), kNine + absl::Hours(99))), absl::Minutes(30));
}

TEST(OwnerHoldTest, AfterARebootTheWallClockCountsTheTimeWithoutPower) {
  OwnerHold before = HourFrom(At(absl::Minutes(10), kNine));
  const auto kept = before.Record("a", At(absl::Minutes(12), kNine + absl::Minutes(2)));
  OwnerHold hold;
  hold.Resume(kept, "b", At(absl::Minutes(1), kNine + absl::Minutes(50)));
  EXPECT_EQ(hold.Left(At(absl::Minutes(1), kNine + absl::Minutes(50))), absl::Minutes(10));
  EXPECT_TRUE(hold.EndIfOver(At(absl::Minutes(11), kNine + absl::Hours(1))));
}

TEST(OwnerHoldTest, AfterARebootWithoutAClockThePoweredOnTimeCounts) {
  OwnerHold before = HourFrom(At(absl::Minutes(10), kNine));
  const auto kept = before.Record("a", At(absl::Minutes(12), kNine + absl::Minutes(2)));
  OwnerHold hold;
  hold.Resume(kept, "b", At(absl::Minutes(1), kNotSet));
  EXPECT_EQ(hold.Left(At(absl::Minutes(1), kNotSet)), absl::Minutes(58));
  // The worker restarts once more, and later the clock is set.
  OwnerHold again;
  again.Resume(hold.Record("b", At(absl::Minutes(2), kNotSet)), "b", At(absl::Minutes(3), kNotSet));
  EXPECT_EQ(again.Left(At(absl::Minutes(3), kNotSet)), absl::Minutes(56));
  EXPECT_EQ(again.Left(At(absl::Minutes(4), kNine + absl::Minutes(59))), absl::Minutes(1));
}

TEST(OwnerHoldTest, SaysUntilWhen) {
  const Instant now = At(absl::Minutes(10), absl::FromUnixSeconds(1'800'003'600));
  EXPECT_EQ(HourFrom(now).Reason(now), "held by its owner until 2027-01-15 10:00:00 UTC");
  const Instant unset = At(absl::Minutes(10), kNotSet);
  EXPECT_EQ(HourFrom(unset).Reason(unset), "held by its owner for another 1 h 00 min");
  EXPECT_EQ(OwnerHold().Reason(now), "");
}

}  // namespace
}  // namespace wattle::agent
