// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A hijacked board reports false runs. The plans for other boards must not change.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/place.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

constexpr int kExamples = 400;
constexpr int kTokens = 200 * kExamples;

class FalseReceiptsTest : public testing::Test {
 protected:
  FalseReceiptsTest() {
    for (int run = 0; run < 3; ++run) {
      Tell("a", 980, 9.9);
      Tell("b", 1000, 10);
      Tell("c", 1020, 10.1);
    }
  }

  void Tell(const std::string& board, double seconds, double watts) {
    v1::Receipt receipt;
    receipt.set_attempt_id(absl::StrCat("j", ++runs_, ".1"));
    receipt.set_emulated(true);
    receipt.set_start_seconds(20);
    receipt.set_peak_memory_bytes(int64_t{1} << 30);
    v1::EnergyMeasurement& run = *receipt.mutable_run();
    run.set_seconds(seconds);
    run.set_mean_power_watts(watts);
    run.set_peak_power_watts(watts);
    run.set_coverage_ratio(1);
    run.set_source(v1::ENERGY_SOURCE_EMULATED);
    v1::WorkDone& work = *receipt.mutable_work();
    work.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
    work.set_units(kTokens);
    work.set_tokens(kTokens);
    work.set_examples(kExamples);
    work.set_steps(kExamples / 8);
    v1::WorkloadSignature& signature = *work.mutable_signature();
    *signature.mutable_model() = Gpt2Shape(12);
    signature.set_method(v1::METHOD_FINETUNE_FULL);
    signature.set_precision("fp32");
    signature.set_quantization("none");
    signature.set_batch_size(8);
    signature.set_sequence_length(256);
    signature.set_engine("wattle");
    const v1::DeviceInfo device = MakeDevice("board-a", board).device.info();
    for (const v1::ProfileRow& row : LearnFromReceipt(table_, device, receipt, kTestNow)) {
      ASSERT_THAT(table_.Put(row), IsOk());
    }
  }

  // For a board with its own runs, and for one that has only runs of its class.
  v1::PlanResponse PlanOf(int layers) {
    v1::JobSpec spec = PublishedSpec(layers);
    spec.mutable_finetune()->set_batch_size(8);
    spec.mutable_finetune()->set_sequence_length(256);
    const auto plan =
        PlanJob(MakeSnapshot({MakeDevice("board-a", "a"), MakeDevice("board-a", "new")}, table_),
                MakeJob("j1", spec));
    EXPECT_THAT(plan, IsOk());
    return plan.value_or(v1::PlanResponse());
  }

  ProfileTable table_;
  int runs_ = 0;
};

TEST_F(FalseReceiptsTest, OfOneBoardMoveNoPlanOfAnotherByMoreThanATwentieth) {
  const std::vector<int> jobs = {12, 6};  // Layers: the job that the runs were of, and another one.
  std::vector<v1::PlanResponse> before;
  before.reserve(jobs.size());
  for (const int layers : jobs) {
    before.push_back(PlanOf(layers));
  }
  for (int run = 0; run < 200; ++run) {
    Tell("taken over", 100, 20);
  }
  for (size_t i = 0; i < jobs.size(); ++i) {
    const v1::PlanResponse after = PlanOf(jobs[i]);
    EXPECT_EQ(after.chosen_device_id(), before[i].chosen_device_id());
    for (const char* board : {"a", "new"}) {
      SCOPED_TRACE(absl::StrCat(board, ", ", jobs[i], " layers"));
      const v1::Candidate* const was = FindCandidate(before[i], board);
      const v1::Candidate* const is = FindCandidate(after, board);
      ASSERT_TRUE(was != nullptr && is != nullptr);
      ASSERT_GT(was->prediction().run_energy_joules().mean(), 0);
      const auto ratio = [](const v1::Interval& one, const v1::Interval& other) {
        return one.mean() / other.mean();
      };
      EXPECT_NEAR(ratio(is->prediction().run_seconds(), was->prediction().run_seconds()), 1, 0.05);
      EXPECT_NEAR(
          ratio(is->prediction().run_energy_joules(), was->prediction().run_energy_joules()), 1,
          0.05);
      EXPECT_NEAR(is->prediction().mean_power_watts() / was->prediction().mean_power_watts(), 1,
                  0.05);
    }
  }
}

}  // namespace
}  // namespace wattle::scheduler
