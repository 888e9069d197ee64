// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The last step of the guard's ladder: a board without work switches itself off.
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;

class PowerOffTest : public AgentCoreTest {
 protected:
  PowerOffTest() {
    has_gauge_ = true;
    powers_off_ = true;
    Boot();
    Welcome();
    Demand({});
  }

  void Demand(const std::vector<v1::Assignment>& assignments) {
    v1::CoordinatorMessage message;
    for (const v1::Assignment& assignment : assignments) {
      *message.mutable_desired()->add_assignments() = assignment;
    }
    v1::Policy& mast = *message.mutable_desired()->add_policies();
    mast.set_name("mast");
    mast.set_reserve_state_of_charge_ratio(0.3);
    mast.set_power_off_state_of_charge_ratio(0.15);
    core_->OnMessage(message, Now());
  }
  // The gauge reports this charge every 30 s.
  void Stay(double ratio, absl::Duration time, std::optional<Watts> discharge = Watts(2)) {
    for (const Monotonic end = wall_ + time; wall_ < end;) {
      core_->OnCharge(Now().device, Fraction(ratio), FromWattHours(50), discharge);
      wall_ = wall_ + absl::Seconds(30);
      core_->Step(Now());
    }
  }
  void PassFarewell() {
    core_->OnCharge(Now().device, Fraction(0.14), FromWattHours(50), Watts(2));
    wall_ = wall_ + PowerOff::kFarewell;
    core_->Step(Now());
  }
};

TEST_F(PowerOffTest, ABoardWithoutWorkGoesOffBelowThePolicysCharge) {
  Stay(0.2, absl::Minutes(60));
  EXPECT_EQ(ports_.offs, 0) << "below the reserve, and above the charge of the policy";
  // The guard accepts so large a step after the second reading.
  Stay(0.14, PowerOff::kWait);
  EXPECT_EQ(ports_.offs, 0);
  EXPECT_EQ(core_->MakeHeartbeat(Now()).power_off_reason(), "");
  Stay(0.14, absl::Seconds(30));
  EXPECT_EQ(core_->MakeHeartbeat(Now()).power_off_reason(),
            "the battery is at 14 %, and the board switches itself off below 15 % (policy mast)");
  EXPECT_EQ(ports_.offs, 0) << "the coordinator is told first";
  PassFarewell();
  EXPECT_EQ(ports_.offs, 1);
  Stay(0.14, absl::Minutes(50));
  EXPECT_EQ(ports_.offs, 1) << "once";
}

TEST_F(PowerOffTest, ABoardThatStaysOnTriesAgainAfterAnHour) {
  ports_.off_fails = true;
  Stay(0.14, absl::Minutes(12));
  EXPECT_EQ(ports_.offs, 1);
  EXPECT_THAT(ports_.notes, Contains(HasSubstr("the board stays on: no wattle-powerd listens")));
  Stay(0.14, absl::Minutes(61));
  EXPECT_EQ(ports_.offs, 2);
}

TEST_F(PowerOffTest, SunAChargeAboveAndTheOwnerKeepItOn) {
  Stay(0.14, absl::Minutes(30), Watts(-1));
  EXPECT_EQ(ports_.offs, 0) << "the battery fills";
  Stay(0.14, absl::Minutes(8));
  Stay(0.16, absl::Minutes(2));
  Stay(0.14, absl::Minutes(8));
  EXPECT_EQ(ports_.offs, 0) << "the wait begins anew";
  ASSERT_TRUE(core_->Hold(absl::Hours(1), Now()).ok());
  Stay(0.14, absl::Minutes(50));
  EXPECT_EQ(ports_.offs, 0) << "the owner works at the board";
  wall_ = wall_ + absl::Hours(2);
  Stay(0.14, absl::Minutes(12));
  EXPECT_EQ(ports_.offs, 1);
}

TEST_F(PowerOffTest, WorkIsStoppedFirst) {
  Stay(0.5, absl::Minutes(1));
  Demand({Job("j1.1")});
  core_->OnFetched({}, Now());
  Phase("train");
  ASSERT_TRUE(core_->busy());
  // A pack that is weaker than its gauge reported.
  Stay(0.14, absl::Minutes(5));
  EXPECT_EQ(ports_.stops, 1) << "the guard";
  EXPECT_EQ(ports_.offs, 0);
  Checkpoint(1);
  core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
  Stay(0.14, absl::Minutes(9));
  EXPECT_EQ(ports_.offs, 0);
  Stay(0.14, absl::Minutes(2));
  EXPECT_EQ(ports_.offs, 1);
}

TEST_F(PowerOffTest, ABoardThatCannotSaysSo) {
  powers_off_ = false;
  Boot();
  Welcome();
  Demand({});
  Stay(0.14, absl::Minutes(30));
  EXPECT_EQ(ports_.offs, 0);
  EXPECT_THAT(core_->MakeHeartbeat(Now()).guard_warning(),
              HasSubstr("policy mast: the board cannot switch itself off; run wattle-powerd "
                        "--allow-power-off on it"));
}

TEST_F(PowerOffTest, WithoutAReadingTheBoardStaysOn) {
  Stay(0.14, absl::Minutes(5));
  for (int i = 0; i < 60; ++i) {
    wall_ = wall_ + absl::Minutes(1);
    core_->Step(Now());
  }
  EXPECT_EQ(ports_.offs, 0);
}

}  // namespace
}  // namespace wattle::agent
