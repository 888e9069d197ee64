// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/clock_watch.h"

#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

class ClockWatchTest : public testing::Test {
 protected:
  std::string After(absl::Duration boottime, absl::Duration monotonic, absl::Duration civil) {
    now_ = {now_.boottime + boottime, now_.monotonic + monotonic, now_.civil + civil};
    return watch_.Observe(now_);
  }
  ClockReading now_{.civil = absl::FromUnixSeconds(1'900'000'000)};
  ClockWatch watch_;
};

TEST_F(ClockWatchTest, PassingTimeIsNotReported) {
  const absl::Duration second = absl::Seconds(1);
  EXPECT_EQ(After({}, {}, {}), "");
  EXPECT_EQ(After(second, second, second), "");
  EXPECT_EQ(After(absl::Hours(5), absl::Hours(5), absl::Hours(5) - absl::Seconds(1)), "");
  EXPECT_EQ(watch_.suspended(), absl::ZeroDuration());
  EXPECT_EQ(watch_.clock_steps(), 0);
}

TEST_F(ClockWatchTest, ASuspendIsReportedAndCounted) {
  After({}, {}, {});
  EXPECT_EQ(After(absl::Hours(2), absl::Seconds(1), absl::Hours(2)),
            "the board was suspended for 1h59m59s; nothing was measured meanwhile");
  EXPECT_EQ(watch_.suspended(), absl::Hours(2) - absl::Seconds(1));
  EXPECT_EQ(watch_.clock_steps(), 0);
}

TEST_F(ClockWatchTest, AClockThatIsSetIsReportedAndCounted) {
  After({}, {}, {});
  EXPECT_EQ(After(absl::Seconds(1), absl::Seconds(1), absl::Seconds(91)),
            "the clock was set forward by 1m30s");
  EXPECT_EQ(After(absl::Seconds(1), absl::Seconds(1), absl::Seconds(-59)),
            "the clock was set back by 1m");
  EXPECT_EQ(watch_.clock_steps(), 2);
  EXPECT_EQ(watch_.suspended(), absl::ZeroDuration());
}

}  // namespace
}  // namespace wattle::agent
