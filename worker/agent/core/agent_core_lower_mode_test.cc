// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The first step of the guard's ladder: work continues in a lower power mode before it pauses.
#include <algorithm>
#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "proto/lowered_mode.h"
#include "worker/agent/core/lower_mode.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

v1::PowerMode Mode(const std::string& name, double watts, double cpu_mhz) {
  v1::PowerMode mode;
  mode.set_name(name);
  mode.set_nominal_power_watts(watts);
  mode.set_cpu_mhz(cpu_mhz);
  mode.set_cores(4);
  return mode;
}

TEST(LowerModeTest, IsTheLowestByWattsElseByClocks) {
  v1::DeviceInfo info;
  *info.add_power_modes() = Mode("MAXN", 0, 2000);
  *info.add_power_modes() = Mode("30W", 30, 1500);
  *info.add_power_modes() = Mode("10W", 10, 800);
  *info.add_power_modes() = Mode("15W", 15, 1200);
  for (const char* const mode : {"MAXN", "30W", "15W", "10W"}) {
    EXPECT_EQ(LowestModeBelow(info, mode), "10W") << mode;
  }
  EXPECT_EQ(LowestModeBelow(info, "of nobody"), "of nobody");
  EXPECT_EQ(LowestModeBelow({}, ""), "");
  EXPECT_EQ(SlowerBy(info, "30W", "10W"), 3);
  EXPECT_EQ(SlowerBy(info, "MAXN", "10W"), 2.5) << "by the clocks";
  EXPECT_EQ(SlowerBy(info, "10W", "30W"), 1);
}

// 50 Wh with a reserve of 30 %. Work stops at about 31.5 %.
class LadderTest : public AgentCoreTest {
 protected:
  LadderTest() {
    has_gauge_ = true;
    sets_power_modes_ = true;
    power_modes_ = {Mode("10W", 10, 1000), Mode("15W", 15, 1500), Mode("30W", 30, 2000)};
    Boot();
    Welcome();
    Charge(0.5);
  }
  void Train(const std::string& mode, bool profile = false) {
    v1::Assignment job = Job("j1.1");
    job.mutable_spec()->mutable_finetune()->set_steps(100'000);
    job.set_power_mode(mode);
    job.set_lease_seconds(1e6);
    if (profile) {
      job.mutable_profile_point()->set_batch_size(8);
    }
    Desire({job}, 0.3);
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train");
    Steps(1);
  }
  void Steps(int count) {
    for (int i = 0; i < count; ++i) {
      Pass(absl::Seconds(1));
      core_->OnCharge(Now().device, Fraction(charge_), FromWattHours(50));
      StepDone(++step_);
    }
  }
  // The charge moves to this value as fast as a battery may change.
  void To(double charge) {
    while (std::abs(charge - charge_) > 1e-6) {
      charge_ += std::clamp(charge - charge_, -0.005, 0.005);
      Steps(10);
    }
  }
  double charge_ = 0.5;
  int64_t step_ = 0;
};

TEST_F(LadderTest, ALowerModeComesBeforeThePause) {
  Train("30W");
  EXPECT_THAT(ports_.modes, ElementsAre("30W"));
  To(0.37);
  EXPECT_THAT(ports_.modes, ElementsAre("30W"));
  To(0.335);
  EXPECT_THAT(ports_.modes, ElementsAre("30W", "own"));
  EXPECT_EQ(core_->MakeHeartbeat(Now()).guard_reason(), "") << "work goes on";
  EXPECT_THAT(ports_.notes,
              Contains(HasSubstr("guard: power mode 10W instead of 30W: battery at ")));
  EXPECT_THAT(Logs(), Contains(HasSubstr("guard: power mode 10W instead of 30W: battery at ")));
  To(0.30);
  EXPECT_THAT(core_->MakeHeartbeat(Now()).guard_reason(), HasSubstr("reserve 30 %"));
}

TEST_F(LadderTest, TheModeOfThePlacementComesBackOnceTheChargeIsFarFromTheReserve) {
  Train("15W");
  To(0.335);
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "own"));
  To(0.36);
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "own")) << "not at once";
  To(0.42);
  EXPECT_THAT(ports_.modes, ElementsAre("15W", "own", "15W"));
  EXPECT_THAT(ports_.notes, Contains(HasSubstr("guard: power mode 15W again")));
}

TEST_F(LadderTest, TheReceiptNamesBothModesAndTheFirstStepsTellNoRate) {
  Train("30W");
  Steps(5);
  EXPECT_TRUE(core_->MakeHeartbeat(Now()).progress(0).has_steady());
  To(0.335);
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).progress(0).has_steady());
  To(0.42);
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).progress(0).has_steady()) << "of two modes";
  EndRun();
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_EQ(receipt.power_mode(), "10W, lowered from 30W");
  EXPECT_TRUE(IsOfLoweredMode(receipt));
}

TEST_F(LadderTest, ARunThatBeginsNearTheReserveBeginsInTheLowerMode) {
  Charge(0.335);
  charge_ = 0.335;
  Train("30W");
  EXPECT_THAT(ports_.modes, IsEmpty()) << "the board's own mode is the lowest";
  EndRun();
  EXPECT_EQ(Last("finished").finished().receipt().power_mode(), "10W, lowered from 30W");
}

TEST_F(LadderTest, WhoMayNotSetModesOrIsInTheLowestPausesAlone) {
  Train("10W");
  To(0.335);
  EXPECT_THAT(ports_.modes, IsEmpty());
  EXPECT_THAT(ports_.notes, Not(Contains(HasSubstr("instead of"))));
}

TEST_F(LadderTest, ARunThatIsMeasuredKeepsItsMode) {
  Train("30W", /*profile=*/true);
  To(0.335);
  EXPECT_THAT(ports_.modes, ElementsAre("30W"));
}

// Otherwise the runner would be killed before its step ends.
TEST_F(LadderTest, AStopWaitsForAStepOfTheSlowerMode) {
  Train("30W");
  Pass(absl::Seconds(20));
  core_->OnCharge(Now().device, Fraction(charge_), FromWattHours(50));
  StepDone(++step_);  // a step of twenty seconds
  To(0.335);
  ASSERT_THAT(ports_.modes, ElementsAre("30W", "own"));
  while (ports_.stops == 0) {
    charge_ -= 0.001;
    Steps(1);
  }
  Pass(absl::Seconds(50));  // a runner that is silent for a minute hangs
  EXPECT_EQ(ports_.kills, 0) << "a step takes up to a minute now";
}

}  // namespace
}  // namespace wattle::agent
