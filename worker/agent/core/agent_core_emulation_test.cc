// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core on an emulated board.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/agent/core/testing/agent_core_fixture.h"
#include "worker/agent/emulation/emulated_pace.h"

namespace wattle::agent {
namespace {

// Emulation: the runner's gate opens when the wall clock has caught up with the board.
class EmulatedCoreTest : public AgentCoreTest {
 protected:
  EmulatedCoreTest() {
    board_ = *ReadBoardFile(WATTLE_SOURCE_DIR "/deploy/emulated", "jetson-orin-nano");
    board_->start_time = absl::Seconds(7);
    clock_ = DeviceClock(wall_, 2.0);
    Boot();
  }

  std::unique_ptr<Pace> MakePace() override {
    emulator_ = std::make_unique<Emulator>(
        *board_, EmulationOptions{.seed = 1, .hidden_offset_ratio = 0}, Now().device);
    return std::make_unique<EmulatedPace>(emulator_.get(), clock_.time_scale());
  }

  std::optional<BoardFile> board_;
  std::unique_ptr<Emulator> emulator_;
};

TEST_F(EmulatedCoreTest, StepsArePacedByTheBoardAndTheReceiptIsInDeviceTime) {
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
  Pass(absl::Seconds(15));
  EXPECT_EQ(ports_.continues, 0);
  Pass(absl::Seconds(1.5));
  EXPECT_EQ(ports_.continues, 1);
  for (int step = 2; step <= 4; ++step) {
    StepDone(step);
    while (ports_.continues < step) {
      Pass(absl::Milliseconds(100));
    }
  }
  // The board takes 1 s for a step, however fast this machine is.
  const v1::SteadyWork steady = core_->MakeHeartbeat(Now()).progress(0).steady();
  EXPECT_EQ(steady.steps(), 3);
  EXPECT_NEAR(steady.seconds(), 3, 0.2);
  Phase("save");
  Result();
  EXPECT_TRUE(ports_.uploads.empty());  // the board still writes
  Pass(absl::Seconds(1));
  Uploaded();
  Pass(absl::Seconds(0.5));
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_NEAR(receipt.start_seconds(), 7, 0.1);
  EXPECT_NEAR(receipt.run().seconds(), 4.1, 0.2);
  EXPECT_NEAR(receipt.wall_seconds(), 8.2, 0.4);
  EXPECT_FALSE(receipt.emulation_overrun());
}

TEST_F(EmulatedCoreTest, TheReceiptSaysThatTheHostWasTooSlow) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  Phase("load");
  Pass(absl::Seconds(14));
  Phase("train");
  for (int step = 1; step <= 4; ++step) {
    Pass(absl::Seconds(5));
    StepDone(step);
  }
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).progress(0).has_steady());
  EndRun();
  EXPECT_TRUE(Last("finished").finished().receipt().emulation_overrun());
}

// This machine keeps the board's pace during the run, but not during the evaluation after it.
TEST_F(EmulatedCoreTest, TheReceiptSaysThatTheHostWasTooSlowForTheHeldOutEvaluation) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  Phase("load");
  Phase("train");
  for (int step = 1; step <= 4; ++step) {
    StepDone(step);
    while (ports_.continues < step) {
      Pass(absl::Milliseconds(100));
    }
  }
  Phase("evaluate");
  Pass(absl::Seconds(20));
  v1::RunnerFrame frame;
  frame.mutable_step()->set_phase("evaluate");
  frame.mutable_step()->set_flops(330e9);
  core_->OnFrame(frame, Now());
  EndRun();
  EXPECT_TRUE(Last("finished").finished().receipt().emulation_overrun());
}

TEST_F(EmulatedCoreTest, ASlowLoadOfTheHostIsNeitherStartNorOverrun) {
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  Phase("load");
  Pass(absl::Seconds(40));
  Phase("train");
  for (int step = 1; step <= 4; ++step) {
    StepDone(step);
    Pass(absl::Seconds(2.2));
  }
  EndRun();
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_NEAR(receipt.start_seconds(), 7, 0.1);
  EXPECT_FALSE(receipt.emulation_overrun());
}

}  // namespace
}  // namespace wattle::agent
