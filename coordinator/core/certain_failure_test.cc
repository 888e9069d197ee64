// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that a job which would fail on every device is found before a device spends a joule.
#include "coordinator/core/certain_failure.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<scheduler::InputView> Model(const std::string& quantization) {
  scheduler::InputView input;
  input.field = "model";
  input.artifact.set_quantization(quantization);
  input.artifact.mutable_model_shape()->set_context_length(256);
  return {input};
}

TEST(CertainFailureTest, ASequenceFitsTheContext) {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_model("tiny");
  spec.mutable_finetune()->set_sequence_length(256);
  EXPECT_EQ(CertainFailure(spec, Model("none")), "");
  spec.mutable_finetune()->set_sequence_length(4096);
  EXPECT_THAT(CertainFailure(spec, Model("none")),
              AllOf(HasSubstr("finetune.sequence_length: 4096 tokens"),
                    HasSubstr("context of model tiny, 256"), HasSubstr("write at most 256")));
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate()->set_model("tiny");
  evaluate.mutable_evaluate()->set_sequence_length(257);
  EXPECT_THAT(CertainFailure(evaluate, Model("int8")), HasSubstr("evaluate.sequence_length"));
}

TEST(CertainFailureTest, ADeclaredModelHasAContextToo) {
  v1::JobSpec spec;
  spec.mutable_finetune()->mutable_model_shape()->set_context_length(128);
  spec.mutable_finetune()->set_sequence_length(200);
  EXPECT_THAT(CertainFailure(spec, {}), HasSubstr("context of the declared model, 128"));
}

TEST(CertainFailureTest, QuantizedWeightsAreNeitherTrainedNorQuantizedAgain) {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_model("small");
  EXPECT_THAT(CertainFailure(spec, Model("int8")),
              AllOf(HasSubstr("model small is int8"), HasSubstr("quantized from")));
  v1::JobSpec quantize;
  quantize.mutable_quantize()->set_model("small");
  EXPECT_THAT(CertainFailure(quantize, Model("int4_g32")), HasSubstr("int4_g32 already"));
  v1::JobSpec generate;
  generate.mutable_generate()->set_model("small");
  EXPECT_EQ(CertainFailure(generate, Model("int8")), "") << "that is what it is for";
}

}  // namespace
}  // namespace wattle::core
