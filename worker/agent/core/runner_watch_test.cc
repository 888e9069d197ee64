// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/runner_watch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;

class RunnerWatchTest : public testing::Test {
 protected:
  RunnerWatchTest() { watch_.Start(now_); }
  // Checks every second, as the agent does, while the runner is silent. Returns the first reason.
  std::string PassInSilence(absl::Duration time) {
    return Pass(time, [] {});
  }
  // Checks likewise, with a sign of life every two seconds; the runner uses `cpu_share` of a
  // processor.
  std::string PassAlive(absl::Duration time, double cpu_share) {
    return Pass(time, [this, cpu_share] {
      cpu_seconds_ += cpu_share;
      if (absl::ToInt64Seconds(now_.since_boot()) % 2 == 0) {
        watch_.OnAlive(cpu_seconds_, now_);
      }
    });
  }
  template <typename EachSecond>
  std::string Pass(absl::Duration time, EachSecond each_second) {
    for (const Monotonic end = now_ + time; now_ < end;) {
      now_ = now_ + absl::Seconds(1);
      each_second();
      std::string reason = watch_.Look(now_);
      if (!reason.empty()) {
        return reason;
      }
    }
    return "";
  }

  Monotonic now_{absl::Seconds(1000)};
  double cpu_seconds_ = 0;
  RunnerWatch watch_;
};

TEST_F(RunnerWatchTest, ASlowStartIsNoHangAndAnEndlessOneIs) {
  EXPECT_EQ(PassInSilence(absl::Seconds(179)), "");
  EXPECT_EQ(PassInSilence(absl::Seconds(1)), "said nothing for 180 s");
}

TEST_F(RunnerWatchTest, AProcessThatStopsIsFoundWithinAMinuteInEveryPhase) {
  watch_.OnAlive(0.1, now_);
  EXPECT_EQ(PassInSilence(absl::Seconds(59)), "");
  EXPECT_EQ(PassInSilence(absl::Seconds(1)), "said nothing for 60 s");
}

TEST_F(RunnerWatchTest, AStepThatUsesTheProcessorMayTakeHours) {
  EXPECT_EQ(PassAlive(absl::Hours(5), 0.5), "");
}

TEST_F(RunnerWatchTest, WorkThatIsStuckIsFoundAlthoughTheProcessIsAlive) {
  EXPECT_EQ(PassAlive(absl::Minutes(5), 0.5), "");
  EXPECT_EQ(PassAlive(absl::Minutes(9), 0.00002), "");
  EXPECT_THAT(PassAlive(absl::Minutes(2), 0.00002), HasSubstr("used no processor time"));
}

TEST_F(RunnerWatchTest, LongStepsMakeItPatient) {
  watch_.OnWork(now_);
  watch_.OnStep(absl::Minutes(3));
  EXPECT_EQ(PassAlive(absl::Minutes(29), 0), "");
  EXPECT_NE(PassAlive(absl::Minutes(2), 0), "");
}

TEST_F(RunnerWatchTest, ARunnerAtTheGateNeedNotWorkButMustBeAlive) {
  watch_.OnWork(now_);
  watch_.SetWaiting(true, now_);
  EXPECT_EQ(PassAlive(absl::Hours(2), 0), "");
  watch_.SetWaiting(false, now_);
  EXPECT_EQ(PassAlive(absl::Minutes(9), 0), "");
  watch_.SetWaiting(true, now_);
  EXPECT_NE(PassInSilence(absl::Minutes(2)), "");
}

TEST_F(RunnerWatchTest, AMachineThatSleptGivesTheRunnerItsTimeAgain) {
  watch_.OnWork(now_);
  now_ = now_ + absl::Hours(8);
  EXPECT_EQ(watch_.Look(now_), "");
  EXPECT_EQ(PassInSilence(absl::Seconds(59)), "");
  EXPECT_NE(PassInSilence(absl::Seconds(2)), "");
}

TEST_F(RunnerWatchTest, NothingIsWatchedAfterStop) {
  watch_.Stop();
  EXPECT_EQ(watch_.deadline(), std::nullopt);
  EXPECT_EQ(PassInSilence(absl::Hours(1)), "");
}

}  // namespace
}  // namespace wattle::agent
