// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core on an emulated board, whose clock moves as EmulatedTime moves it.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/agent/core/device_readings.h"
#include "worker/agent/core/testing/agent_core_fixture.h"
#include "worker/agent/emulation/emulated_pace.h"
#include "worker/agent/emulation/emulated_time.h"

namespace wattle::agent {
namespace {

class EmulatedCoreTest : public AgentCoreTest {
 protected:
  EmulatedCoreTest() {
    board_ = *ReadBoardFile(WATTLE_SOURCE_DIR "/deploy/emulated", "jetson-orin-nano");
    board_->start_time = absl::Seconds(7);
  }

  // A board of this pace, on the disk of nobody.
  void Boot(double time_scale) {
    disk_ = MemoryDisk(/*seed=*/1);
    clock_ = DeviceClock(wall_, time_scale);
    AgentCoreTest::Boot();
    readings_ = std::make_unique<DeviceReadings>(core_.get(), account_.get(), &ports_);
    source_ = emulator_->board().MakeSource();
    readings_->Add(source_->info(), {});
    time_of_board_ = std::make_unique<EmulatedTime>(&clock_, core_.get(), readings_.get(),
                                                    source_.get(), Now().device);
    Follow();
  }

  std::unique_ptr<Pace> MakePace() override {
    emulator_ = std::make_unique<Emulator>(
        *board_, EmulationOptions{.seed = 1, .hidden_offset_ratio = 0}, Now().device);
    return std::make_unique<EmulatedPace>(emulator_.get());
  }

  void Follow() {
    Instant now = Now();
    time_of_board_->Pass(now);
    core_->Step(now);
    time_of_board_->Pass(now);
  }
  // This machine takes so long, in leaps as the agent's.
  void Host(absl::Duration time) {
    for (const Monotonic end = wall_ + time; wall_ < end;) {
      wall_ = std::min(end, wall_ + absl::Milliseconds(100));
      Follow();
    }
  }
  [[nodiscard]] double DeviceSeconds() { return absl::ToDoubleSeconds(Now().device.since_boot()); }

  void EvaluationDone() {
    v1::RunnerFrame frame;
    frame.mutable_step()->set_phase("evaluate");
    frame.mutable_step()->set_flops(330e9);
    core_->OnFrame(frame, Now());
    Follow();
  }
  // A whole attempt, of whose every part this machine needs `host`. Returns its receipt.
  v1::Receipt Attempt(absl::Duration host) {
    Welcome();
    Host(host);
    Desire({Job("j1.1")});
    Follow();
    Host(host);
    core_->OnFetched({.status = {}, .moved_bytes = 25'000'000}, Now());
    for (Follow(); ports_.tasks.empty();) {
      Host(absl::Milliseconds(100));
    }
    Phase("load");
    Host(host);
    Phase("train");
    for (int step = 1; step <= 4; ++step) {
      Host(host);
      StepDone(step);
      for (Follow(); ports_.continues < step;) {
        Host(absl::Milliseconds(100));
      }
    }
    Phase("evaluate");
    Host(host);
    EvaluationDone();
    Phase("save");
    Host(host);
    Result();
    Follow();
    while (ports_.uploads.empty()) {
      Host(absl::Milliseconds(100));
    }
    Host(host);
    Uploaded();
    Follow();
    Host(absl::Seconds(30));
    return Last("finished").finished().receipt();
  }

  std::optional<BoardFile> board_;
  std::unique_ptr<Emulator> emulator_;
  std::unique_ptr<telemetry::Source> source_;
  std::unique_ptr<DeviceReadings> readings_;
  std::unique_ptr<EmulatedTime> time_of_board_;
};

TEST_F(EmulatedCoreTest, StepsArePacedByTheBoardAndTheReceiptIsInDeviceTime) {
  Boot(/*time_scale=*/2);
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  ASSERT_TRUE(ports_.tasks.at(0).gated());
  Phase("load");
  Phase("train");
  // The start takes 7 s and each step 1 s, times two.
  StepDone(1);
  // This machine is ahead of the board, so the step counts with the board's time.
  const v1::AttemptProgress progress = core_->MakeHeartbeat(Now()).progress(0);
  EXPECT_NEAR(progress.remaining_seconds(), 3, 0.2);
  EXPECT_NEAR(progress.tokens_per_second(), 100, 6);
  Host(absl::Seconds(15));
  EXPECT_EQ(ports_.continues, 0);
  Host(absl::Seconds(1.5));
  EXPECT_EQ(ports_.continues, 1);
  for (int step = 2; step <= 4; ++step) {
    StepDone(step);
    while (ports_.continues < step) {
      Host(absl::Milliseconds(100));
    }
  }
  // The board takes 1 s for a step, however fast this machine is.
  const v1::SteadyWork steady = core_->MakeHeartbeat(Now()).progress(0).steady();
  EXPECT_EQ(steady.steps(), 3);
  EXPECT_NEAR(steady.seconds(), 3, 0.2);
  Phase("save");
  Result();
  EXPECT_TRUE(ports_.uploads.empty());  // the board still writes
  Host(absl::Seconds(1));
  Uploaded();
  Host(absl::Seconds(2));
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_NEAR(receipt.start_seconds(), 7, 0.1);
  EXPECT_NEAR(receipt.run().seconds(), 4.1, 0.2);
  EXPECT_NEAR(receipt.wall_seconds(), 8.2, 0.4);
}

TEST_F(EmulatedCoreTest, AReceiptIsTheSameHoweverSlowThisMachineIs) {
  Boot(/*time_scale=*/0);
  const v1::Receipt fast = Attempt(absl::ZeroDuration());
  EXPECT_NEAR(fast.fetch_seconds(), 2, 1e-6);
  EXPECT_NEAR(fast.run().seconds(), 4.1, 0.2);
  EXPECT_NEAR(fast.evaluate_seconds(), 1, 0.1);
  EXPECT_GT(fast.total().samples(), 20);
  EXPECT_DOUBLE_EQ(fast.total().coverage_ratio(), 1);
  EXPECT_NEAR(fast.run().gross_energy_joules(), 11.15 * fast.run().seconds(), 0.5);
  Boot(/*time_scale=*/0);
  const v1::Receipt slow = Attempt(absl::Seconds(40));
  EXPECT_EQ(slow.DebugString(), fast.DebugString());
}

TEST_F(EmulatedCoreTest, APaceChangesNoSecondsOfTheReceipt) {
  Boot(/*time_scale=*/0);
  const v1::Receipt fast = Attempt(absl::ZeroDuration());
  for (const double time_scale : {0.01, 1.0, 3.0}) {
    Boot(time_scale);
    const Monotonic begin = wall_;
    const v1::Receipt paced = Attempt(absl::Seconds(1));
    EXPECT_EQ(paced.run().seconds(), fast.run().seconds()) << time_scale;
    EXPECT_EQ(paced.total().seconds(), fast.total().seconds()) << time_scale;
    EXPECT_NEAR(paced.total().gross_energy_joules(), fast.total().gross_energy_joules(), 3);
    EXPECT_GE(wall_ - begin, time_scale * absl::Seconds(paced.total().seconds())) << time_scale;
  }
}

TEST_F(EmulatedCoreTest, TheClockStandsWhileTheBoardWaitsForThisMachine) {
  Boot(/*time_scale=*/1);
  Welcome();
  Host(absl::Seconds(5));
  EXPECT_NEAR(DeviceSeconds(), 5, 1e-6);  // an idle board follows the wall
  Desire({Job("j1.1")});
  Host(absl::Seconds(5));
  EXPECT_NEAR(DeviceSeconds(), 5, 1e-6);  // a transfer
  core_->OnFetched({}, Now());
  Phase("load");
  Host(absl::Seconds(30));
  EXPECT_NEAR(DeviceSeconds(), 12, 1e-6);  // the start, then this machine still loads
  Phase("train");
  Host(absl::Seconds(30));
  StepDone(1);
  Follow();
  EXPECT_NEAR(DeviceSeconds(), 13, 0.1);  // the step's wall time is over
  EXPECT_EQ(ports_.continues, 1);
}

TEST_F(EmulatedCoreTest, WithoutAPaceABoardThatRestsStandsStill) {
  Boot(/*time_scale=*/0);
  EXPECT_DOUBLE_EQ(DeviceSeconds(), 10);
  EXPECT_TRUE(account_->idle().power().has_value());
  Welcome();
  Host(absl::Minutes(10));
  EXPECT_DOUBLE_EQ(DeviceSeconds(), 10);
  // Its owner has it, so that work waits: time passes, or nothing would end the wait.
  ASSERT_THAT(core_->Hold(absl::Minutes(1), Now()), IsOk());
  Host(absl::Seconds(20));
  EXPECT_NEAR(DeviceSeconds(), 30, 0.2);
}

}  // namespace
}  // namespace wattle::agent
