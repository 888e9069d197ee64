// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/work_totals.h"

#include "gtest/gtest.h"

namespace wattle::runtime {
namespace {

v1::Receipt ReceiptOf(v1::Method method, double joules) {
  v1::Receipt receipt;
  receipt.set_device_class("jetson-orin-nano");
  v1::WorkloadSignature& signature = *receipt.mutable_work()->mutable_signature();
  signature.set_method(method);
  signature.mutable_model()->set_architecture("gpt2");
  signature.mutable_model()->set_layers(12);
  signature.mutable_model()->set_width(768);
  receipt.mutable_work()->set_tokens(1000);
  receipt.mutable_total()->set_seconds(12);
  receipt.mutable_total()->set_gross_energy_joules(joules + 20);
  receipt.mutable_total()->set_source(v1::ENERGY_SOURCE_INA3221);
  receipt.mutable_run()->set_seconds(10);
  receipt.mutable_run()->set_gross_energy_joules(joules);
  receipt.mutable_predicted()->mutable_run_seconds()->set_mean(8);
  receipt.mutable_predicted()->mutable_run_energy_joules()->set_mean(90);
  return receipt;
}

TEST(WorkTotalsTest, SumsByKindModelClassAndSource) {
  WorkTotals totals;
  totals.Add(v1::ATTEMPT_STATE_FINISHED, ReceiptOf(v1::METHOD_FINETUNE_FULL, 100));
  totals.Add(v1::ATTEMPT_STATE_FINISHED, ReceiptOf(v1::METHOD_FINETUNE_FULL, 300));
  totals.Add(v1::ATTEMPT_STATE_FINISHED, ReceiptOf(v1::METHOD_GENERATE, 7));
  const WorkKind finetune = {.kind = "finetune",
                             .model = "gpt2-12x768",
                             .device_class = "jetson-orin-nano",
                             .source = v1::ENERGY_SOURCE_INA3221};
  ASSERT_EQ(totals.done.size(), 2U);
  const WorkSum& sum = totals.done.at(finetune).at(v1::ATTEMPT_STATE_FINISHED);
  EXPECT_EQ(sum.attempts, 2);
  EXPECT_EQ(sum.energy_joules, 440);
  EXPECT_EQ(sum.seconds, 24);
  EXPECT_EQ(sum.tokens, 2000);
  EXPECT_EQ(totals.predictions.at(finetune).predicted_energy_joules, 180);
  EXPECT_EQ(totals.predictions.at(finetune).measured_energy_joules, 400);
  EXPECT_EQ(totals.predictions.at(finetune).predicted_seconds, 16);
}

TEST(WorkTotalsTest, EmulatedJoulesStayApart) {
  WorkTotals totals;
  v1::Receipt emulated = ReceiptOf(v1::METHOD_EVALUATE, 5);
  emulated.set_emulated(true);
  totals.Add(v1::ATTEMPT_STATE_FINISHED, emulated);
  totals.Add(v1::ATTEMPT_STATE_FINISHED, ReceiptOf(v1::METHOD_EVALUATE, 5));
  EXPECT_EQ(totals.done.size(), 2U);
}

TEST(WorkTotalsTest, OnlyAFinishedRunIsComparedWithItsPrediction) {
  WorkTotals totals;
  totals.Add(v1::ATTEMPT_STATE_FAILED, ReceiptOf(v1::METHOD_FINETUNE_FULL, 100));
  v1::Receipt unpredicted = ReceiptOf(v1::METHOD_FINETUNE_FULL, 100);
  unpredicted.clear_predicted();
  totals.Add(v1::ATTEMPT_STATE_FINISHED, unpredicted);
  EXPECT_TRUE(totals.predictions.empty());
}

TEST(WorkTotalsTest, AReceiptOfNoWorkIsNotCounted) {
  WorkTotals totals;
  v1::Receipt receipt;
  receipt.set_failure_class(v1::FAILURE_CLASS_POWER);
  totals.Add(v1::ATTEMPT_STATE_FAILED, receipt);
  EXPECT_TRUE(totals.done.empty());
  receipt.mutable_total()->set_seconds(3);
  totals.Add(v1::ATTEMPT_STATE_FAILED, receipt);
  EXPECT_EQ(totals.done.begin()->first.kind, "unknown");
  EXPECT_EQ(totals.done.begin()->first.model, "unknown");
}

}  // namespace
}  // namespace wattle::runtime
