// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/time_keeper.h"

#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

using policy::KnownTime;
using policy::TimeSource;

const absl::Time kTrue = absl::FromUnixSeconds(1'800'000'000);

Monotonic Boot(absl::Duration since) {
  return Monotonic(since);
}

TEST(TimeKeeperTest, AWallClockThatNobodyKeepsIsNoTime) {
  TimeKeeper keeper;
  // fake-hwclock sets the clock like this: it looks set, and is hours late.
  const KnownTime known = keeper.At(Boot(absl::Seconds(5)), {.time = kTrue - absl::Hours(10)});
  EXPECT_FALSE(known.known());
  EXPECT_EQ(known.source, TimeSource::kUnknown);
  EXPECT_EQ(known.time, kTrue - absl::Hours(10)) << "the best guess";
}

TEST(TimeKeeperTest, TheKernelsTimeHasTheKernelsError) {
  TimeKeeper keeper;
  const SystemTime kept = {.time = kTrue, .error = absl::Milliseconds(30)};
  const KnownTime known = keeper.At(Boot(absl::Seconds(5)), kept);
  EXPECT_EQ(known.time, kTrue);
  EXPECT_EQ(known.error, absl::Milliseconds(30));
  EXPECT_EQ(known.source, TimeSource::kKernel);
  // The time service ends, and the clock is set by hand: boot time continues.
  const KnownTime later =
      keeper.At(Boot(absl::Seconds(10'005)), {.time = kTrue - absl::Hours(240)});
  EXPECT_EQ(later.time, kTrue + absl::Seconds(10'000));
  EXPECT_EQ(later.error, absl::Milliseconds(1030));
}

TEST(TimeKeeperTest, TheWelcomesTimeIsRightToHalfTheRoundTrip) {
  for (const double share : {0.0, 0.3, 1.0}) {  // of the round trip, on the way there
    TimeKeeper keeper;
    const absl::Duration trip = absl::Seconds(4);
    keeper.OnCoordinator(kTrue + share * trip, Boot({}), Boot(trip));
    const KnownTime known = keeper.At(Boot(trip), {});
    EXPECT_LE(absl::AbsDuration(known.time - (kTrue + trip)), known.error);
    EXPECT_EQ(known.error, absl::Seconds(2));
    EXPECT_EQ(known.source, TimeSource::kCoordinator);
  }
}

TEST(TimeKeeperTest, TheErrorGrowsBy100PpmAndABetterAnswerReplacesAnOlder) {
  TimeKeeper keeper;
  keeper.OnCoordinator(kTrue, Boot({}), Boot({}));
  EXPECT_EQ(keeper.At(Boot(absl::Hours(24)), {}).error, absl::Seconds(8.64));
  const absl::Duration day = absl::Hours(24);
  keeper.OnCoordinator(kTrue + day, Boot(day), Boot(day + absl::Seconds(60)));
  EXPECT_LT(keeper.At(Boot(day + absl::Seconds(60)), {}).error, absl::Seconds(9)) << "30 s";
  keeper.OnCoordinator(kTrue + day, Boot(day), Boot(day + absl::Seconds(1)));
  EXPECT_EQ(keeper.At(Boot(day + absl::Seconds(1)), {}).error, absl::Seconds(0.5));
}

TEST(TimeKeeperTest, ARestartInTheSameBootGoesOnAndARebootKeepsAFloor) {
  const v1::ClockRecord kept =
      RecordOf({kTrue, absl::Seconds(1), TimeSource::kCoordinator}, "a", Boot(absl::Seconds(100)));
  TimeKeeper restarted;
  restarted.Resume(kept, "a");
  const KnownTime known = restarted.At(Boot(absl::Seconds(10'100)), {});
  EXPECT_EQ(known.time, kTrue + absl::Seconds(10'000));
  EXPECT_EQ(known.error, absl::Seconds(2));
  TimeKeeper rebooted;
  rebooted.Resume(kept, "b");
  const KnownTime floor = rebooted.At(Boot(absl::Seconds(5)), {.time = absl::UnixEpoch()});
  EXPECT_FALSE(floor.known());
  EXPECT_EQ(floor.source, TimeSource::kFloor);
  EXPECT_EQ(floor.time, kTrue - absl::Seconds(1));
}

TEST(TimeKeeperTest, NoTimeIsFromBeforeWattle) {
  TimeKeeper keeper;
  EXPECT_FALSE(keeper.At(Boot({}), {.time = absl::UnixEpoch(), .error = absl::Seconds(1)}).known());
  EXPECT_FALSE(keeper.OnCoordinator(absl::UnixEpoch(), Boot({}), Boot({})).known());
  EXPECT_EQ(keeper.At(Boot({}), {}).time, TimeKeeper::kWritten);
  keeper.RaiseFloor(kTrue);
  keeper.RaiseFloor(kTrue - absl::Hours(1));
  EXPECT_EQ(keeper.floor(), kTrue);
}

}  // namespace
}  // namespace wattle::agent
