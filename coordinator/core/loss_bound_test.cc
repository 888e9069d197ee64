// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/loss_bound.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/testing/fleet_for_test.h"
#include "proto/spec_revision.h"
#include "scheduler/predict/work.h"

namespace wattle::core {
namespace {

using testing::Eq;
using testing::HasSubstr;

// One board, whose policy accepts a loss of 5 s by a power cut.
class LossBoundTest : public testing::Test {
 protected:
  LossBoundTest() {
    AddBoard("device-1", "orin");
    SetBound(5);
  }

  void SetBound(double seconds) {
    v1::Policy policy;
    policy.set_name("careful");
    policy.set_loss_seconds_max(seconds);
    policy.set_pause_seconds_max(60);  // Gives the policy a limit even without a bound.
    Do(fleet_.state, fleet_.observations, ApplyPolicy{policy}, Now());
  }
  double CheckpointBytes(const v1::JobSpec& spec) const {
    return scheduler::WorkOf(spec, {{"model", TinyModel()}, {"data", Questions(100)}},
                             fleet_.state.profiles)
        ->checkpoint_bytes;
  }
  // A job that ended without a result and wrote two checkpoints of this time each.
  void Train(const v1::JobSpec& spec, double seconds) {
    const std::string id = std::to_string(++jobs_);
    Do(fleet_.state, fleet_.observations, SubmitJob{spec, id});
    Do(fleet_.state, fleet_.observations,
       ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, Now())));
    const v1::Attempt* const attempt = FindAttempt(fleet_.state, AttemptId("j" + id + ".1"));
    ASSERT_NE(attempt, nullptr);
    v1::Report report;
    report.set_sequence(jobs_);
    v1::AttemptFailed& failed = *report.mutable_failed();
    failed.set_attempt_id(attempt->attempt_id());
    failed.set_fencing_token(attempt->fencing_token());
    failed.set_failure_class(v1::FAILURE_CLASS_SPEC);
    failed.set_message("stopped for this test");
    failed.mutable_receipt()->set_attempt_id(attempt->attempt_id());
    failed.mutable_receipt()->set_checkpoint_bytes(static_cast<int64_t>(2 * CheckpointBytes(spec)));
    failed.mutable_receipt()->set_checkpoint_seconds(2 * seconds);
    Do(fleet_.state, fleet_.observations,
       WorkerReport{.device = DeviceId("device-1"), .incarnation = 1, .report = report});
    ASSERT_EQ(FindAttempt(fleet_.state, AttemptId("j" + id + ".1"))->receipt().checkpoint_seconds(),
              2 * seconds);
  }
  absl::Status Submit(const v1::JobSpec& spec) const {
    return CheckPossible(fleet_.state, Observations(), {}, spec, Now());
  }
  std::string CertainFailureOf(const v1::JobSpec& spec) const {
    v1::PlanRequest request;
    *request.mutable_spec() = spec;
    const auto plan = DryRun(fleet_.state, fleet_.observations, {}, request, Now());
    EXPECT_THAT(plan, IsOk());
    return plan.ok() ? plan->certain_failure() : "";
  }
  // Its checkpoints are far smaller.
  static v1::JobSpec Adapters() {
    v1::JobSpec spec = Finetune();
    spec.mutable_finetune()->mutable_lora()->set_rank(2);
    return spec;
  }
  // Adds the fleet's board or replaces it: its worker supports every part of a spec.
  void AddBoard(const std::string& id, const std::string& name) {
    v1::Hello hello;
    hello.set_incarnation(1);
    *hello.mutable_device() = FindDevice(fleet_.state, DeviceId("device-1"))->info();
    hello.mutable_device()->set_device_id(id);
    hello.mutable_device()->set_name(name);
    hello.mutable_device()->set_spec_revision(kSpecRevision);
    fleet_.observations.devices[DeviceId(id)] = fleet_.observations.devices[DeviceId("device-1")];
    Do(fleet_.state, fleet_.observations, WorkerHello{hello});
  }

  Fleet fleet_;
  int jobs_ = 0;
};

constexpr char kWhy[] =
    "policy careful: loss_seconds_max: 5: a checkpoint that was no larger took 36.5 s on orin "
    "(j1.1), so a power cut costs as much; want 37 or more there, or 0";

TEST_F(LossBoundTest, AnAssumedTimeRefusesNothing) {
  SetBound(1);
  EXPECT_THAT(Submit(Finetune()), IsOk());
  EXPECT_EQ(CertainFailureOf(Finetune()), "");
}

TEST_F(LossBoundTest, AMeasuredTimeAboveTheBoundRefusesAtSubmitAndInAPlan) {
  Train(Finetune(), 36.5);
  EXPECT_THAT(Submit(Finetune()), StatusIs(absl::StatusCode::kInvalidArgument, Eq(kWhy)));
  EXPECT_EQ(CertainFailureOf(Finetune()), kWhy);
  SetBound(37);
  EXPECT_THAT(Submit(Finetune()), IsOk());
  EXPECT_EQ(CertainFailureOf(Finetune()), "");
  SetBound(0);
  EXPECT_THAT(Submit(Finetune()), IsOk());
}

TEST_F(LossBoundTest, ALargerCheckpointTellsNothingOfASmallerOne) {
  ASSERT_LT(CheckpointBytes(Adapters()), CheckpointBytes(Finetune()));
  Train(Finetune(), 36.5);
  EXPECT_THAT(Submit(Adapters()), IsOk());
  Train(Adapters(), 6);
  EXPECT_THAT(Submit(Adapters()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("took 6.0 s on orin (j2.1)")));
}

TEST_F(LossBoundTest, TheNewestAttemptCounts) {
  Train(Finetune(), 36.5);
  Train(Finetune(), 4.5);
  EXPECT_THAT(Submit(Finetune()), IsOk());
}

TEST_F(LossBoundTest, AnotherBoardThatMayKeepItsBoundTakesTheJob) {
  Train(Finetune(), 36.5);
  AddBoard("device-2", "other");
  EXPECT_THAT(Submit(Finetune()), IsOk());
  EXPECT_EQ(CertainFailureOf(Finetune()), "");
}

TEST_F(LossBoundTest, WhatNoBoardCouldRunAnywayIsRefusedForThat) {
  Train(Finetune(), 36.5);
  v1::JobSpec spec = Finetune();
  spec.add_required_labels("site=nowhere");
  EXPECT_THAT(Submit(spec), StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr("no device of this fleet can run it")));
  EXPECT_EQ(CertainFailureOf(spec), "");
}

TEST_F(LossBoundTest, JobsWithoutCheckpointsAreOfNoAccount) {
  Train(Finetune(), 36.5);
  v1::JobSpec generate;
  generate.mutable_generate()->set_model("tiny");
  generate.mutable_generate()->add_prompts("hello");
  generate.mutable_generate()->set_max_new_tokens(4);
  EXPECT_THAT(Submit(generate), IsOk());
}

}  // namespace
}  // namespace wattle::core
