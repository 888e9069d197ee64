// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/system_time.h"

#include <optional>

#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'900'000'000);

TEST(SystemTimeTest, AClockThatATimeServiceKeepsHasTheLargerOfBothErrors) {
  timex answer = {};
  answer.maxerror = 40'000;
  answer.esterror = 300;
  const SystemTime kept = SystemTimeOf(answer, TIME_OK, kNow);
  EXPECT_EQ(kept.time, kNow);
  EXPECT_EQ(kept.error, absl::Milliseconds(40));
}

TEST(SystemTimeTest, AClockThatNobodyKeepsHasNoError) {
  timex answer = {};
  EXPECT_EQ(SystemTimeOf(answer, TIME_ERROR, kNow).error, std::nullopt);
  EXPECT_EQ(SystemTimeOf(answer, -1, kNow).error, std::nullopt);
  answer.status = STA_UNSYNC;
  EXPECT_EQ(SystemTimeOf(answer, TIME_OK, kNow).error, std::nullopt);
}

TEST(SystemTimeTest, TheFileOfTimesyncdTellsTheTimeRightAfterASynchronization) {
  for (const absl::Duration since : {absl::ZeroDuration(), absl::Seconds(119)}) {
    EXPECT_EQ(SystemTimeBySync(kNow - since, kNow).time, kNow);
    EXPECT_EQ(SystemTimeBySync(kNow - since, kNow).error, absl::Seconds(1));
  }
  // Since then the clock may have been set by hand, by hours or back.
  for (const absl::Duration since :
       {absl::Minutes(2), absl::Hours(240), -absl::Seconds(1), absl::InfiniteDuration()}) {
    EXPECT_EQ(SystemTimeBySync(kNow - since, kNow).error, std::nullopt) << since;
  }
}

}  // namespace
}  // namespace wattle::agent
