// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/checkpoint_cadence.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "proto/checkpoint_interval.h"
#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Monotonic kStart(absl::Seconds(50));

TEST(CheckpointCadenceTest, OneCutADayIsSupposedUntilCutsAreSeen) {
  CheckpointCadence cadence;
  EXPECT_EQ(cadence.between_cuts(), kBetweenCutsPrior);
  for (int hour = 0; hour < 24; ++hour) {
    cadence.OnWork(absl::Hours(1));
    cadence.OnCut();
  }
  EXPECT_NEAR(absl::ToDoubleHours(cadence.between_cuts()), 48.0 / 25, 1e-9);
  CheckpointCadence quiet;
  for (int day = 0; day < 29; ++day) {
    quiet.OnWork(absl::Hours(24));
  }
  EXPECT_EQ(quiet.between_cuts(), absl::Hours(30 * 24));
}

TEST(CheckpointCadenceTest, OldCutsCountLess) {
  CheckpointCadence cadence;
  for (int day = 0; day < 20; ++day) {
    cadence.OnWork(absl::Hours(24));
    cadence.OnCut();
  }
  const absl::Duration before = cadence.between_cuts();
  for (int day = 0; day < 300; ++day) {
    cadence.OnWork(absl::Hours(24));
  }
  EXPECT_GT(cadence.between_cuts(), 10 * before);
}

// A writer that writes as soon as there is room, as much as it likes.
TEST(CheckpointCadenceTest, NoMonthSeesMoreThanItsBudget) {
  constexpr double kBudget = 20e9;
  for (const int64_t size_bytes : {int64_t{50'000'000}, int64_t{1'490'000'000}}) {
    CheckpointCadence cadence;
    std::vector<double> hours(24 * 70, 0.0);
    double at_once = 0;
    for (size_t hour = 0; hour < hours.size(); ++hour) {
      const Monotonic at = kStart + absl::Hours(static_cast<int64_t>(hour));
      while (cadence.FlashWait(size_bytes, kBudget, at) == absl::ZeroDuration()) {
        cadence.OnWritten(size_bytes, at);
        hours[hour] += static_cast<double>(size_bytes);
      }
      at_once = std::max(at_once, hours[hour]);
    }
    EXPECT_GT(at_once, 9.9 * kBudget) << "days of cuts borrow";
    for (size_t from = 0; from + 24 * 30 <= hours.size(); ++from) {
      const auto begin = hours.begin() + static_cast<ptrdiff_t>(from);
      ASSERT_LE(std::accumulate(begin, begin + 24 * 30, 0.0), 30 * kBudget) << "from hour " << from;
    }
    EXPECT_GT(std::accumulate(hours.begin() + 24 * 40, hours.end(), 0.0), 30 * 0.66 * kBudget);
  }
}

TEST(CheckpointCadenceTest, TheWaitEndsWhenThereIsRoom) {
  CheckpointCadence cadence;
  cadence.OnWritten(10'000, kStart);
  const absl::Duration wait = cadence.FlashWait(500, 1000, kStart);
  EXPECT_NEAR(absl::ToDoubleHours(wait), 18, 1e-6);
  EXPECT_EQ(cadence.FlashWait(500, 1000, kStart + wait), absl::ZeroDuration());
}

TEST(CheckpointCadenceTest, IsKeptAndImpossibleNumbersCountAsNone) {
  CheckpointCadence cadence;
  cadence.OnWork(absl::Hours(5));
  cadence.OnCut();
  cadence.OnWritten(7, kStart);
  const CheckpointCadence again(cadence.record());
  EXPECT_EQ(again.between_cuts(), cadence.between_cuts());
  EXPECT_EQ(again.record().flash_debt_bytes(), 7);
  v1::CheckpointCadenceRecord record;
  record.set_worked_seconds(std::numeric_limits<double>::quiet_NaN());
  record.set_cuts(-5);
  record.set_flash_debt_bytes(std::numeric_limits<double>::infinity());
  const CheckpointCadence repaired(record);
  EXPECT_EQ(repaired.between_cuts(), kBetweenCutsPrior);
  EXPECT_EQ(repaired.record().flash_debt_bytes(), 0);
}

class CheckpointOrderTest : public AgentCoreTest {
 protected:
  static v1::Policy Policy() {
    v1::Policy policy;
    policy.set_name("field");
    return policy;
  }
  // The job of the fixture, whose only checkpoint is predicted to take two seconds, under the
  // policy.
  void Train(const v1::Policy& policy) {
    v1::Assignment job = Job("j1.1");
    job.mutable_spec()->mutable_finetune()->set_steps(100'000);
    job.mutable_placement()->set_device_id(state_->device_id());
    v1::Candidate& candidate = *job.mutable_placement()->add_best();
    candidate.set_device_id(state_->device_id());
    candidate.mutable_prediction()->set_checkpoint_seconds(2);
    candidate.mutable_prediction()->set_mean_power_watts(10);
    v1::CoordinatorMessage message;
    *message.mutable_desired()->add_assignments() = job;
    *message.mutable_desired()->add_policies() = policy;
    core_->OnMessage(message, Now());
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train");
  }
  // Runs steps of ten seconds until a checkpoint is ordered; returns the time.
  absl::Duration UntilOrdered() {
    const Monotonic begin = wall_;
    while (ports_.checkpoints == 0 && wall_ - begin < absl::Hours(2)) {
      wall_ = wall_ + absl::Seconds(10);
      core_->Step(Now());
      StepDone(++step_);
    }
    return wall_ - begin;
  }
  void Written(double seconds, int64_t size_bytes) {
    v1::RunnerFrame frame;
    frame.mutable_checkpoint()->set_step(step_);
    frame.mutable_checkpoint()->set_seconds(seconds);
    frame.mutable_checkpoint()->set_size_bytes(size_bytes);
    core_->OnFrame(frame, Now());
    ports_.checkpoints = 0;
  }
  int64_t step_ = 0;
};

TEST_F(CheckpointOrderTest, ComesAtTheOptimumOfWhatWasPredictedThenOfWhatWasMeasured) {
  Welcome();
  Train(Policy());
  EXPECT_TRUE(ports_.tasks.back().checkpoints_when_told());
  // √(2 · 2 s · 1 day) = 588 s.
  EXPECT_EQ(UntilOrdered(), absl::Seconds(590));
  Written(8, 1000);
  // √(2 · 8 s · about 1 day) = 1,180 s.
  EXPECT_NEAR(absl::ToDoubleSeconds(UntilOrdered()), 1180, 15);
  EXPECT_THAT(Logs(), Contains(HasSubstr("a checkpoint about every 9 min 50 s: one takes 2")));
}

TEST_F(CheckpointOrderTest, IsGivenOnceUntilItWasObeyed) {
  Welcome();
  Train(Policy());
  UntilOrdered();
  for (int i = 0; i < 20; ++i) {
    StepDone(++step_);
  }
  EXPECT_EQ(ports_.checkpoints, 1);
}

TEST_F(CheckpointOrderTest, APolicyBoundsTheLossAndTheCard) {
  Welcome();
  v1::Policy policy = Policy();
  policy.set_loss_seconds_max(60);
  policy.set_flash_bytes_per_day(1000);
  Train(policy);
  EXPECT_EQ(UntilOrdered(), absl::Seconds(60));
  Written(1, 9'500);  // nearly all that may be written at once
  EXPECT_EQ(UntilOrdered(), absl::Seconds(60)) << "the loss is the stricter demand";
  EXPECT_THAT(Logs(), Contains(HasSubstr("every 1 min 00 s: a cut may cost no more")));
}

TEST_F(CheckpointOrderTest, WhatIsBorrowedFromLaterDaysOfTheCardIsToldOnce) {
  Welcome();
  v1::Policy policy = Policy();
  policy.set_flash_bytes_per_day(1000);
  Train(policy);
  UntilOrdered();
  Written(1, 900);
  EXPECT_THAT(Logs(), Not(Contains(HasSubstr("borrow"))));
  UntilOrdered();
  Written(1, 900);
  UntilOrdered();
  Written(1, 900);
  EXPECT_THAT(Logs(),
              Contains(HasSubstr("checkpoints borrow from the card's budget of later days: 1.8 "
                                 "KiB are written ahead of flash_bytes_per_day, 1000 B"))
                  .Times(1));
}

TEST_F(CheckpointOrderTest, ALossBelowTheMeasuredTimeOfACheckpointIsTold) {
  Welcome();
  v1::Policy policy = Policy();
  policy.set_loss_seconds_max(5);
  Train(policy);
  UntilOrdered();
  Written(4, 1000);
  EXPECT_EQ(core_->MakeHeartbeat(Now()).guard_warning(), "");
  UntilOrdered();
  Written(36.5, 1000);
  EXPECT_EQ(core_->MakeHeartbeat(Now()).guard_warning(),
            "policy.loss_seconds_max: 5: a checkpoint takes 36.5 s here, so a cut costs as much; "
            "want 37 or more, or 0");
}

// 0.7 Wh remain above the charge at which work stops; 10 W draw them in about four minutes.
TEST_F(CheckpointOrderTest, NearTheReserveItComesSooner) {
  has_gauge_ = true;
  Boot();
  Welcome();
  Charge(0.8);
  v1::Policy policy = Policy();
  policy.set_reserve_state_of_charge_ratio(0.3);
  Train(policy);
  const auto work_at = [this](double charge) {
    const Monotonic begin = wall_;
    while (ports_.checkpoints == 0 && wall_ - begin < absl::Hours(2)) {
      wall_ = wall_ + absl::Seconds(10);
      core_->OnCharge(Now().device, Fraction(charge), FromWattHours(50));
      core_->Step(Now());
      StepDone(++step_);
    }
    return absl::ToDoubleSeconds(wall_ - begin);
  };
  EXPECT_NEAR(work_at(0.8), 590, 10);
  Written(2, 1000);
  EXPECT_LT(work_at(0.33), 590 * 0.6);
  Written(2, 1000);
  EXPECT_GE(work_at(0.33), 590 / 4) << "no more often, however long the charge stays there";
  EXPECT_THAT(Logs(), Contains(HasSubstr("the battery nears the reserve")));
}

TEST_F(CheckpointOrderTest, TheCardsBudgetIsToldWhereItLengthensTheInterval) {
  Welcome();
  v1::Policy policy = Policy();
  policy.set_flash_bytes_per_day(1000);
  Train(policy);
  UntilOrdered();
  Written(1, 9'000);
  UntilOrdered();
  EXPECT_EQ(ports_.checkpoints, 0) << "eight days' worth are owed before there is room";
  EXPECT_THAT(Logs(), Contains(HasSubstr("the card's budget allows no more")));
}

TEST_F(CheckpointOrderTest, ARunThatWasCutOffWritesItsNextCheckpointInHalfOfThatTime) {
  Welcome();
  Train(Policy());
  const absl::Duration worked = absl::Seconds(300);
  for (absl::Duration at; at < worked; at += absl::Seconds(10)) {
    wall_ = wall_ + absl::Seconds(10);
    core_->Step(Now());
    StepDone(++step_);
  }
  Killed();
  core_->Step(Now());
  Phase("load");
  Phase("train");
  step_ = 0;
  EXPECT_NEAR(absl::ToDoubleSeconds(UntilOrdered()), 150, 10);
  Written(2, 1000);
  EXPECT_THAT(Logs(), Contains(HasSubstr("of work that had none")));
  EndRun();
  const v1::Receipt& receipt = Last("finished").finished().receipt();
  EXPECT_NEAR(receipt.lost_run_seconds(), 300, 1);
  EXPECT_EQ(receipt.checkpoint_bytes(), 1000);
}

// The worker's last record is from second 50; the worker resumes 40 s after the cut.
TEST_F(CheckpointOrderTest, TheTimeInWhichTheWorkerWasDeadIsNoLostWork) {
  Welcome();
  Train(Policy());
  Pass(absl::Seconds(55));
  wall_ = wall_ + absl::Seconds(40);
  Boot();
  Welcome();
  core_->OnFetched({}, Now());
  Phase("load");
  Phase("train");
  EndRun();
  EXPECT_NEAR(Last("finished").finished().receipt().lost_run_seconds(), 50, 1);
}

// The work before the first record is unknown. For the second cut in a row the gap bounds it.
TEST_F(CheckpointOrderTest, AWorkerThatDiedBeforeItsFirstRecordLostNoWorkThatIsKnown) {
  Welcome();
  Train(Policy());
  for (int cut = 0; cut < 2; ++cut) {
    wall_ = wall_ + absl::Seconds(40);
    Boot();
    Welcome();
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train");
  }
  EXPECT_NEAR(absl::ToDoubleSeconds(UntilOrdered()), 20, 10);
  Written(2, 1000);
  EndRun();
  EXPECT_EQ(Last("finished").finished().receipt().lost_run_seconds(), 0);
}

TEST_F(CheckpointOrderTest, TheThirdCutInARowIsToldWithTheNextInterval) {
  Welcome();
  Train(Policy());
  for (int cut = 0; cut < 3; ++cut) {
    EXPECT_THAT(Logs(), Not(Contains(HasSubstr("times in a row"))));
    for (int step = 0; step < 20; ++step) {
      wall_ = wall_ + absl::Seconds(10);
      core_->Step(Now());
      StepDone(step + 1);
    }
    Boot();
    Welcome();
    core_->OnFetched({}, Now());
    Phase("load");
    Phase("train");
  }
  EXPECT_THAT(Logs(), Contains(HasSubstr("cut off 3 times in a row before a checkpoint: the next "
                                         "one comes after 1 min")));
}

}  // namespace
}  // namespace wattle::agent
