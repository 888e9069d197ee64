// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/leaner_forms_internal.h"
#include "coordinator/core/testing/spec_for_test.h"

namespace wattle::core {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> ChangesOf(const v1::JobSpec& spec) {
  std::vector<std::string> changes;
  for (const ChangedSpec& form : LeanerForms(spec)) {
    EXPECT_THAT(ValidateSpec(form.spec, /*files_needed=*/false), IsOk()) << form.change;
    changes.push_back(form.change);
  }
  return changes;
}

TEST(LeanerFormsTest, FirstCheckpointingThenSmallerBatchesOfTheSameStep) {
  const v1::JobSpec spec = Finetune();  // 4 examples at once
  EXPECT_THAT(ChangesOf(spec), ElementsAre("activation_checkpointing: true",
                                           "activation_checkpointing: true, batch_size: 2, "
                                           "gradient_accumulation_steps: 2",
                                           "activation_checkpointing: true, batch_size: 1, "
                                           "gradient_accumulation_steps: 4"));
  const v1::FinetuneSpec last = LeanerForms(spec).back().spec.finetune();
  EXPECT_TRUE(last.activation_checkpointing());
  EXPECT_EQ(last.batch_size(), 1);
  EXPECT_EQ(last.gradient_accumulation_steps(), 4);
}

// A step keeps its examples: 15 are 5 times 3 and 15 times 1.
TEST(LeanerFormsTest, ABatchIsDividedWithoutARest) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_activation_checkpointing(true);
  spec.mutable_finetune()->set_batch_size(15);
  spec.mutable_finetune()->set_gradient_accumulation_steps(2);
  EXPECT_THAT(ChangesOf(spec), ElementsAre("batch_size: 5, gradient_accumulation_steps: 6",
                                           "batch_size: 1, gradient_accumulation_steps: 30"));
}

TEST(LeanerFormsTest, NoBatchIsTheDefaultOne) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->clear_batch_size();
  EXPECT_THAT(ChangesOf(spec)[1], testing::HasSubstr("batch_size: 4, gradient_accumulation_steps: "
                                                     "2"));
}

TEST(LeanerFormsTest, WhatAMethodRefusesIsNotSuggested) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_batch_size(2);
  spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
  EXPECT_THAT(ChangesOf(spec), ElementsAre("batch_size: 1, gradient_accumulation_steps: 2"))
      << "MeZO has no backward pass";
  spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_ADAFACTOR);
  spec.mutable_finetune()->set_update_in_backward(true);
  EXPECT_THAT(ChangesOf(spec), ElementsAre("activation_checkpointing: true",
                                           "activation_checkpointing: true, batch_size: 1"))
      << "updates in the backward pass accumulate nothing";
}

TEST(LeanerFormsTest, MorePassesThanAJobMayHaveAreNotSuggested) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_activation_checkpointing(true);
  spec.mutable_finetune()->set_gradient_accumulation_steps(2048);
  EXPECT_THAT(ChangesOf(spec), ElementsAre("batch_size: 2, gradient_accumulation_steps: 4096"));
}

TEST(LeanerFormsTest, TheLeanestJobHasNone) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_activation_checkpointing(true);
  spec.mutable_finetune()->set_batch_size(1);
  EXPECT_THAT(ChangesOf(spec), IsEmpty());
  v1::JobSpec quantize;
  quantize.mutable_quantize()->set_model("tiny");
  quantize.mutable_quantize()->set_quantization(v1::QUANTIZATION_INT8);
  EXPECT_THAT(ChangesOf(quantize), IsEmpty());
}

TEST(LeanerFormsTest, InferenceHasSmallerBatches) {
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate()->set_model("tiny");
  evaluate.mutable_evaluate()->set_data("questions");
  EXPECT_THAT(ChangesOf(evaluate), ElementsAre("batch_size: 4", "batch_size: 2", "batch_size: 1"));
  v1::JobSpec generate;
  generate.mutable_generate()->set_model("tiny");
  generate.mutable_generate()->add_prompts("The mast");
  generate.mutable_generate()->set_batch_size(3);
  EXPECT_THAT(ChangesOf(generate), ElementsAre("batch_size: 1"));
}

}  // namespace
}  // namespace wattle::core
