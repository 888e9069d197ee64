// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Other programs keep a board busy for two hours, on the real coordinator and agent: its measured
// row stays.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/testing/spec_for_test.h"
#include "sim/event_loop.h"
#include "sim/fleet.h"
#include "sim/options.h"
#include "sim/random.h"
#include "tests/simulation/boards_for_test.h"
#include "tests/simulation/fault_points.h"

namespace wattle::sim {
namespace {

constexpr double kLoadedHour = 3600.0;
constexpr int kLoadedJobs = 6;
// Per job: an hour without load. The first three and the sixth have none; the load ends in the
// fifth.
constexpr int64_t kLoadedSteps = 360;
constexpr double kLoadedStepSeconds = 10.0;
constexpr double kLoadFrom = 3.1 * kLoadedHour;
constexpr double kLoadUntil = 5.1 * kLoadedHour;
constexpr double kTokensPerStep = 512.0;

Options ContendedOptions() {
  Options options = ScriptedOptions(11);
  options.step_seconds = kLoadedStepSeconds;
  options.heartbeat_seconds = 30.0;
  options.sample_seconds = 5.0;
  options.tick_seconds = 10.0;
  options.plan_seconds = 10.0;
  return options;
}

Workload HourOfTraining() {
  Workload workload = ScriptedWork(kLoadedSteps, kLoadedStepSeconds);
  workload.tokens_per_step = kTokensPerStep;
  v1::WorkDone& work = workload.work;
  work.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  work.set_examples(4 * kLoadedSteps);
  work.set_tokens(static_cast<int64_t>(kTokensPerStep) * kLoadedSteps);
  work.set_units(kTokensPerStep * kLoadedSteps);
  work.mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
  *work.mutable_signature()->mutable_model() = core::Shape();
  work.mutable_signature()->set_quantization("none");
  work.mutable_signature()->set_batch_size(4);
  work.mutable_signature()->set_sequence_length(128);
  work.mutable_signature()->set_engine("wattle");
  return workload;
}

class ContendedBoardTest : public ScriptedBoards {
 protected:
  ContendedBoardTest() : ScriptedBoards(ContendedOptions()) {}

  const v1::Receipt& Receipt(int job) {
    return fleet_.coordinator().durable().jobs.at(job).job().attempts(0).receipt();
  }
  // The device's row; its class has one too.
  v1::ProfileRow Row() {
    for (const v1::ProfileRow& row : fleet_.coordinator().durable().profiles.Rows()) {
      if (!row.device_id().empty()) {
        return row;
      }
    }
    ADD_FAILURE() << "no row";
    return {};
  }

  void Work() {
    fleet_.Start({ScriptedMachine("robot", HourOfTraining())});
    RunUntil(60);
    PushInputs();
    for (int job = 1; job <= kLoadedJobs; ++job) {
      Post(core::SubmitJob{core::Finetune(), absl::StrCat("key", job)});
    }
    loop_.At(kLoadFrom, [this] { fleet_.workers().front()->SetOtherLoad(true); });
    loop_.At(kLoadUntil, [this] { fleet_.workers().front()->SetOtherLoad(false); });
    RunUntil(kLoadFrom);
    alone_ = Row();
    RunUntil(kLoadUntil);
    loaded_ = Row();
    RunUntil(8 * kLoadedHour);
  }

  v1::ProfileRow alone_;   // as the load began
  v1::ProfileRow loaded_;  // after it
};

TEST_F(ContendedBoardTest, OtherLoadForTwoHoursLeavesTheRowWhereItWas) {
  Work();
  ASSERT_EQ(fleet_.invariants().breach(), "");
  ASSERT_EQ(counts_.succeeded_jobs, kLoadedJobs);
  EXPECT_EQ(alone_.seconds_per_unit().count(), 3);
  // The fourth job ran beside the load for nearly all of its time, and its receipt shows it.
  EXPECT_GT(Receipt(4).run().seconds(), 1.8 * kLoadedHour);
  EXPECT_NEAR(Receipt(4).contended_seconds() / Receipt(4).run().seconds(), 1.0, 0.1);
  for (const int job : {1, 2, 3, 6}) {
    EXPECT_LT(Receipt(job).contended_seconds(), 0.1 * Receipt(job).run().seconds()) << job;
  }
  EXPECT_EQ(loaded_.seconds_per_unit().SerializeAsString(),
            alone_.seconds_per_unit().SerializeAsString());
  EXPECT_EQ(loaded_.energy_joules_per_unit().SerializeAsString(),
            alone_.energy_joules_per_unit().SerializeAsString());
  EXPECT_EQ(Row().seconds_per_unit().count(), 4) << "the run after the load counts";
}

TEST_F(ContendedBoardTest, ARunThatMovesTheRowIsFound) {
  TurnOnFaultPoint("contended run");
  Work();
  EXPECT_THAT(fleet_.invariants().breach(),
              testing::HasSubstr("though other programs kept the board busy for"));
}

}  // namespace
}  // namespace wattle::sim
