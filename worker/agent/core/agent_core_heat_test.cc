// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A worker's model of its board's heat outlives its process.
#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

class HeatOverRestartsTest : public AgentCoreTest {
 protected:
  // Two stages: 2 K/W within 20 s, and 4 K/W within 8 minutes.
  void Work(double watts, absl::Duration time) {
    const auto share = [](double seconds) { return -std::expm1(-2.0 / seconds); };
    for (const Monotonic end = wall_ + time; wall_ < end;) {
      wall_ = wall_ + absl::Seconds(2);
      fast_ += (2.0 * watts - fast_) * share(20.0);
      slow_ += (4.0 * watts - slow_) * share(480.0);
      account_->AddPower(Now().device, Watts(watts));
      core_->OnTemperature(Now().device, Celsius(air_ + fast_ + slow_), Celsius(80));
      core_->Step(Now());
    }
  }
  void WorkAndRest() {
    for (int i = 0; i < 8; ++i) {
      Work(12, absl::Minutes(40));
      Work(3, absl::Minutes(25));
    }
  }
  [[nodiscard]] v1::HeatModel Told() { return core_->MakeHeartbeat(Now()).heat_model(); }

  double air_ = 25;
  double fast_ = 6;
  double slow_ = 12;
};

TEST_F(HeatOverRestartsTest, TheModelIsToldAtOnceAndFollowsTheAir) {
  WorkAndRest();
  const v1::HeatModel known = Told();
  ASSERT_EQ(known.stages_size(), 2);
  EXPECT_NEAR(known.stages(0).kelvin_per_watt() + known.stages(1).kelvin_per_watt(), 6.0, 0.5);
  for (const char* boot_id : {"boot", "another"}) {
    SCOPED_TRACE(boot_id);
    boot_id_ = boot_id;
    Boot();
    const v1::HeatModel kept = Told();
    ASSERT_EQ(kept.stages_size(), 2);
    EXPECT_NEAR(kept.stages(1).kelvin_per_watt(), known.stages(1).kelvin_per_watt(), 0.2);
    EXPECT_EQ(kept.stages(1).time_constant_seconds(), known.stages(1).time_constant_seconds());
    // The work continues at one power, so nothing new can be learned.
    air_ += 8;
    Work(12, absl::Hours(3));
    EXPECT_NEAR(Told().ambient_celsius(), air_, 1.5);
    EXPECT_EQ(Told().stages(0).SerializeAsString(), kept.stages(0).SerializeAsString());
    EXPECT_EQ(Told().throttle_celsius(), 80);
  }
}

TEST_F(HeatOverRestartsTest, ABoardThatTellsNothingYetKeepsNothing) {
  Work(12, absl::Hours(2));
  Boot();
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).has_heat_model());
  EXPECT_EQ(state_->ReadHeat().state, RecordState::kAbsent);
}

TEST_F(HeatOverRestartsTest, TheRecordIsWrittenFourTimesADayAtMost) {
  WorkAndRest();
  int writes = 0;
  std::string latest = state_->ReadHeat().record.SerializeAsString();
  for (int hour = 0; hour < 12; ++hour) {
    air_ += 2;
    Work(3, absl::Hours(1));
    const std::string kept = state_->ReadHeat().record.SerializeAsString();
    writes += kept != latest ? 1 : 0;
    latest = kept;
  }
  EXPECT_EQ(writes, 2);
}

}  // namespace
}  // namespace wattle::agent
