// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A machine short of memory: the report, the stop of work, and its continuation.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/memory_pressure.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class MemoryTest : public AgentCoreTest {
 protected:
  // Passes time in which all programs wait for memory for this share.
  void PassStalled(absl::Duration time, double ratio) {
    for (absl::Duration passed; passed < time; passed += absl::Seconds(2)) {
      Pass(absl::Seconds(2));
      stalled_ += ratio * absl::Seconds(2);
      core_->OnMemoryStalled(stalled_, Now());
    }
  }
  std::string Told() { return core_->MakeHeartbeat(Now()).memory_problem(); }

  absl::Duration stalled_ = absl::Hours(3);  // since boot
};

TEST_F(MemoryTest, WorkStopsWithWhatItHasAndGoesOnOnceThereIsEnough) {
  Welcome();
  StartTraining();
  PassStalled(absl::Seconds(20), 0);
  Checkpoint(3);
  PassStalled(absl::Seconds(20), 0.3);
  EXPECT_EQ(ports_.stops, 1);
  EXPECT_THAT(Told(), HasSubstr("memory is short: all programs waited for memory for "));
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  PassStalled(absl::Minutes(1), 0);
  EXPECT_EQ(core_->busy(), false) << "a minute without a shortage has not passed";
  EXPECT_EQ(ports_.fetches, 1);
  PassStalled(absl::Seconds(20), 0);
  EXPECT_EQ(Told(), "");
  EXPECT_EQ(ports_.fetches, 2);
  EXPECT_THAT(Facts(), ElementsAre("accepted", "started", "paused"));
  EXPECT_THAT(Last("paused").paused().reason(), StartsWith("memory is short: "));
  EXPECT_EQ(Last("paused").paused().checkpoint_step(), 3);
}

TEST_F(MemoryTest, AShortStallStopsNothing) {
  Welcome();
  StartTraining();
  PassStalled(absl::Seconds(20), 0);
  PassStalled(absl::Seconds(2), 0.9);
  PassStalled(absl::Seconds(20), 0);
  PassStalled(absl::Minutes(5), 0.19);
  EXPECT_EQ(ports_.stops, 0);
  EXPECT_EQ(Told(), "");
}

TEST_F(MemoryTest, NoWorkBeginsOnAMachineShortOfMemory) {
  Welcome();
  PassStalled(absl::Seconds(20), 0.5);
  Desire({Job("j1.1")});
  Pass(absl::Seconds(10));
  EXPECT_EQ(ports_.fetches, 0);
  PassStalled(absl::Minutes(2), 0.01);
  EXPECT_EQ(ports_.fetches, 1);
}

TEST(MemoryPressureTest, AShortageThatComesBackWithinTheMinuteGoesOn) {
  MemoryPressure pressure;
  absl::Duration stalled;
  Monotonic at(absl::Seconds(100));
  const auto pass = [&](int seconds, double ratio) {
    for (int i = 0; i < seconds; i += 2) {
      at = at + absl::Seconds(2);
      stalled += ratio * absl::Seconds(2);
      pressure.OnStalled(at, stalled);
    }
  };
  pass(12, 0.5);
  EXPECT_NE(pressure.problem(), "");
  pass(50, 0.0);
  pass(12, 0.1);
  pass(50, 0.0);
  EXPECT_NE(pressure.problem(), "");
  pass(24, 0.0);
  EXPECT_EQ(pressure.problem(), "");
}

}  // namespace
}  // namespace wattle::agent
