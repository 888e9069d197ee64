// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Other programs on the board: when they count as contention, and how the receipt reports them.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/contention.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

class ContentionTest : public testing::Test {
 protected:
  // Two seconds pass on four cores, with these shares of the cores' time.
  bool Pass(double own, double others, std::optional<double> waited = std::nullopt) {
    at_ = at_ + absl::Seconds(2);
    load_.own += own * 4 * absl::Seconds(2);
    load_.busy += (own + others) * 4 * absl::Seconds(2);
    if (waited) {
      load_.waited = load_.waited.value_or(absl::Hours(1)) + *waited * absl::Seconds(2);
    }
    return contention_.OnLoad(at_, load_);
  }

  Monotonic at_ = Monotonic(absl::Seconds(1000));
  BoardLoad load_ = {.cores = 4, .busy = absl::Hours(9), .own = absl::Hours(1)};
  Contention contention_;
};

TEST_F(ContentionTest, ATenthOfTheCoresIsContended) {
  EXPECT_FALSE(Pass(0, 0.9)) << "nothing to compare with";
  EXPECT_FALSE(Pass(0.9, 0.09));
  EXPECT_TRUE(Pass(0.5, 0.11));
  EXPECT_FALSE(Pass(1.0, 0.0)) << "the runner may use all";
}

TEST_F(ContentionTest, ALittleIsContendedOnlyWhereProgramsWaitForACore) {
  Pass(0, 0, 0.0);
  EXPECT_FALSE(Pass(0.9, 0.05, 0.1));
  EXPECT_TRUE(Pass(0.9, 0.05, 0.3));
  EXPECT_FALSE(Pass(1.0, 0.01, 0.9)) << "the runner's threads wait for one another";
}

TEST_F(ContentionTest, AShortTimeKeepsTheAnswer) {
  Pass(0, 0);
  EXPECT_TRUE(Pass(0.5, 0.5));
  load_.busy += absl::Milliseconds(1);
  EXPECT_TRUE(contention_.OnLoad(at_ + absl::Milliseconds(100), load_));
  EXPECT_FALSE(contention_.OnLoad(at_ + absl::Seconds(2), {})) << "nobody tells";
}

class ContendedRunTest : public AgentCoreTest {
 protected:
  // Time passes in which other programs use this share of four cores.
  void PassBeside(absl::Duration time, double others) {
    for (absl::Duration passed; passed < time; passed += absl::Seconds(2)) {
      Alive(absl::ToDoubleSeconds(wall_.since_boot()));
      Pass(absl::Seconds(2));
      load_.busy += others * 4 * absl::Seconds(2);
      core_->OnBoardLoad(load_, Now());
    }
  }
  double Told() { return Last("finished").finished().receipt().contended_seconds(); }

  BoardLoad load_ = {.cores = 4, .busy = absl::Hours(1), .own = absl::ZeroDuration()};
};

TEST_F(ContendedRunTest, TheReceiptTellsTheContendedTimeOfTheRun) {
  Welcome();
  PassBeside(absl::Seconds(20), 0.5);
  StartTraining();
  PassBeside(absl::Seconds(20), 0.0);
  PassBeside(absl::Seconds(30), 0.5);
  PassBeside(absl::Seconds(10), 0.0);
  StepDone(4);
  Phase("save");
  PassBeside(absl::Seconds(10), 0.5);
  Result();
  Uploaded();
  EXPECT_NEAR(Told(), 30, 2.1) << "neither the load before the run nor the one after it";
  EXPECT_NEAR(Last("finished").finished().receipt().run().seconds(), 60, 1);
}

TEST_F(ContendedRunTest, ARestartOfTheWorkerKeepsWhatWasTold) {
  Welcome();
  StartTraining();
  PassBeside(kSavePeriod + absl::Seconds(10), 0.5);
  Boot();
  Welcome();
  Desire({Job("j1.1")});
  core_->OnFetched({}, Now());
  Phase("train");
  PassBeside(absl::Seconds(10), 0.0);
  StepDone(4);
  Result();
  Uploaded();
  EXPECT_NEAR(Told(), absl::ToDoubleSeconds(kSavePeriod) + 5, 10)
      << "but for what came after the last save";
}

TEST_F(ContendedRunTest, ABoardThatHasItsCoresToItselfTellsNothing) {
  Welcome();
  StartTraining();
  PassBeside(absl::Seconds(40), 0.01);
  StepDone(4);
  Result();
  Uploaded();
  EXPECT_EQ(Told(), 0);
}

}  // namespace
}  // namespace wattle::agent
