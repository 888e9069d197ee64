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

TEST(CertainFailureTest, NoMoreLayersAreTrainedThanThereAre) {
  v1::JobSpec spec;
  spec.mutable_finetune()->mutable_model_shape()->set_layers(6);
  spec.mutable_finetune()->set_last_layers(6);
  EXPECT_EQ(CertainFailure(spec, {}), "");
  spec.mutable_finetune()->set_last_layers(7);
  EXPECT_THAT(CertainFailure(spec, {}),
              HasSubstr("finetune.last_layers: 7: the declared model has 6 layers"));
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

v1::ModelShape OfWidths(int width, int mlp_width) {
  v1::ModelShape shape;
  shape.set_architecture("llama");
  shape.set_layers(2);
  shape.set_width(width);
  shape.set_heads(4);
  shape.set_mlp_width(mlp_width);
  shape.set_vocabulary_size(1000);
  shape.set_context_length(256);
  return shape;
}

TEST(CertainFailureTest, GroupsDivideEachRow) {
  v1::JobSpec spec;
  v1::QuantizeSpec& quantize = *spec.mutable_quantize();
  *quantize.mutable_model_shape() = OfWidths(64, 172);
  quantize.set_quantization(v1::QUANTIZATION_INT4);
  EXPECT_EQ(CertainFailure(spec, {}),
            "quantize.quantization: groups of 64 do not divide the 172 columns of "
            "layers.0.down.weight; write int8");
  quantize.set_quantization(v1::QUANTIZATION_INT8);
  EXPECT_EQ(CertainFailure(spec, {}), "");
  quantize.set_quantization(v1::QUANTIZATION_ADAPTIVE);
  EXPECT_EQ(CertainFailure(spec, {}), "") << "the search takes groups that fit";
  *quantize.mutable_model_shape() = OfWidths(64, 160);
  quantize.set_quantization(v1::QUANTIZATION_NF4);
  EXPECT_THAT(CertainFailure(spec, {}), HasSubstr("write group_size: 32 in a recipe, or int8"));
  quantize.mutable_model_shape()->set_mlp_width(192);
  EXPECT_EQ(CertainFailure(spec, {}), "");
}

TEST(CertainFailureTest, ExceptionsOfARecipeHaveGroupsOfTheirOwn) {
  v1::JobSpec spec;
  v1::GenerateSpec& generate = *spec.mutable_generate();
  *generate.mutable_model_shape() = OfWidths(96, 128);
  v1::QuantizationRecipe& recipe = *generate.mutable_recipe();
  recipe.mutable_matrices()->set_bits(4);
  recipe.mutable_matrices()->set_group_size(32);
  EXPECT_EQ(CertainFailure(spec, {}), "");
  v1::TensorException& exception = *recipe.add_exceptions();
  exception.set_tensor("layers.1.up.weight");
  exception.mutable_format()->set_bits(4);
  exception.mutable_format()->set_group_size(128);
  EXPECT_THAT(CertainFailure(spec, {}),
              HasSubstr("generate.recipe: groups of 128 do not divide the 96 columns of "
                        "layers.1.up.weight; write group_size: 32"));
}

TEST(CertainFailureTest, AdaptersAreNotMergedIntoQuantizedWeights) {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_model("small");
  spec.mutable_finetune()->mutable_lora()->set_rank(4);
  EXPECT_EQ(CertainFailure(spec, Model("int8")), "");
  spec.mutable_finetune()->mutable_lora()->set_merge(true);
  EXPECT_EQ(CertainFailure(spec, Model("none")), "");
  EXPECT_THAT(
      CertainFailure(spec, Model("int8")),
      AllOf(HasSubstr("finetune.lora.merge: model small is int8"), HasSubstr("leave merge out")));
}

TEST(CertainFailureTest, AnAnswerLeavesRoomForItsQuestion) {
  v1::JobSpec spec;
  v1::EvaluateSpec& evaluate = *spec.mutable_evaluate();
  evaluate.set_model("tiny");
  evaluate.set_max_answer_tokens(256);
  EXPECT_EQ(CertainFailure(spec, Model("none")), "") << "nothing is answered";
  evaluate.set_score_answers(true);
  EXPECT_THAT(CertainFailure(spec, Model("none")),
              AllOf(HasSubstr("evaluate.max_answer_tokens: 256 tokens"),
                    HasSubstr("a sequence of 256; write at most 255")));
  evaluate.set_max_answer_tokens(255);
  EXPECT_EQ(CertainFailure(spec, Model("none")), "");
  evaluate.clear_max_answer_tokens();  // 32
  evaluate.set_sequence_length(33);
  EXPECT_EQ(CertainFailure(spec, Model("none")), "");
  evaluate.set_sequence_length(32);
  EXPECT_THAT(CertainFailure(spec, Model("none")),
              HasSubstr("write at most 31; or raise sequence_length"));
}

TEST(CertainFailureTest, AReferenceReadsWhatTheModelReads) {
  v1::JobSpec spec;
  spec.mutable_evaluate()->set_model("tiny");
  spec.mutable_evaluate()->set_reference_model("other");
  std::vector<scheduler::InputView> inputs = Model("int8");
  inputs[0].artifact.mutable_model_shape()->set_vocabulary_size(2016);
  inputs.push_back(inputs[0]);
  inputs[1].field = "reference_model";
  EXPECT_EQ(CertainFailure(spec, inputs), "");
  inputs[1].artifact.mutable_model_shape()->set_context_length(512);
  EXPECT_EQ(CertainFailure(spec, inputs), "");
  inputs[1].artifact.mutable_model_shape()->set_vocabulary_size(50257);
  EXPECT_THAT(CertainFailure(spec, inputs),
              AllOf(HasSubstr("evaluate.reference_model: other has a vocabulary of 50257"),
                    HasSubstr("model tiny has 2016"), HasSubstr("made from")));
  inputs[1].artifact.mutable_model_shape()->set_vocabulary_size(2016);
  inputs[1].artifact.mutable_model_shape()->set_context_length(128);
  EXPECT_NE(CertainFailure(spec, inputs), "");
}

}  // namespace
}  // namespace wattle::core
