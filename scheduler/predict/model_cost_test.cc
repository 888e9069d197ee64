// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/model_cost.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

v1::ModelShape Gpt2Small() {
  v1::ModelShape shape;
  shape.set_architecture("gpt2");
  shape.set_layers(12);
  shape.set_width(768);
  shape.set_heads(12);
  shape.set_vocabulary_size(50257);
  shape.set_context_length(1024);
  return shape;
}

TEST(ModelCostTest, Gpt2SmallHasItsPublishedParameterCount) {
  EXPECT_DOUBLE_EQ(ParameterCount(Gpt2Small()), 124439808);
}

TEST(ModelCostTest, FlopsFollowTheFormula) {
  // 12 layers x 12 x 768^2 and the head.
  EXPECT_DOUBLE_EQ(MatmulParameterCount(Gpt2Small()), 84934656.0 + 38597376.0);
  EXPECT_DOUBLE_EQ(ForwardFlopsPerToken(Gpt2Small(), 0), 2 * 123532032.0);
  EXPECT_DOUBLE_EQ(TrainingFlopsPerToken(Gpt2Small(), 0), 6 * 123532032.0);
  EXPECT_DOUBLE_EQ(ForwardFlopsPerToken(Gpt2Small(), 100) - ForwardFlopsPerToken(Gpt2Small(), 0),
                   4.0 * 12 * 768 * 100);
}

// The head is read for every token, and is quantized like any other matrix.
TEST(ModelCostTest, ATokenReadsEveryMatrixInItsFormatWithItsScales) {
  constexpr double kLayers = 84934656;
  constexpr double kHead = 38597376;
  constexpr double kLayerRows = 12.0 * (3 * 768 + 768 + 3072 + 768);
  constexpr double kHeadRows = 50257;
  constexpr double kInt4 = 0.5 + 2.0 / 64;  // An FP16 scale for each group of 64.
  const v1::ModelShape shape = Gpt2Small();
  EXPECT_DOUBLE_EQ(WeightBytesPerToken(shape, "none"), 4 * (kLayers + kHead));
  EXPECT_DOUBLE_EQ(WeightBytesPerToken(shape, "int8"),
                   kLayers + kHead + 4 * (kLayerRows + kHeadRows));
  EXPECT_DOUBLE_EQ(WeightBytesPerToken(shape, "int4-g64"), kInt4 * (kLayers + kHead));
  EXPECT_DOUBLE_EQ(WeightBytesPerToken(shape, "int4-g64+head=int8+kv=int8"),
                   kInt4 * kLayers + kHead + 4 * kHeadRows);
  EXPECT_DOUBLE_EQ(WeightBytesPerToken(shape, "int8+head=fp32"),
                   kLayers + 4 * kLayerRows + 4 * kHead);
  EXPECT_DOUBLE_EQ(WeightBytesPerToken(shape, "int4-g64+head=int8+3x9f0c21d4"),
                   WeightBytesPerToken(shape, "int4-g64+head=int8"));
  EXPECT_DOUBLE_EQ(WeightBytesPerToken(shape, "adaptive"),
                   1.3 * WeightBytesPerToken(shape, "int4-g64"));
}

TEST(ModelCostTest, TinyLlamaHasItsPublishedParameterCount) {
  v1::ModelShape shape;
  shape.set_architecture("llama");
  shape.set_layers(22);
  shape.set_width(2048);
  shape.set_heads(32);
  shape.set_kv_heads(4);
  shape.set_mlp_width(5632);
  shape.set_vocabulary_size(32000);
  shape.set_context_length(2048);
  shape.set_untied_head(true);
  EXPECT_THAT(ValidateModelShape(shape, "f"), IsOk());
  EXPECT_DOUBLE_EQ(ParameterCount(shape), 1100048384);
  shape.set_kv_heads(5);
  EXPECT_THAT(ValidateModelShape(shape, "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f.kv_heads: 5")));
}

TEST(ModelCostTest, NonsenseIsRefusedByField) {
  struct Case {
    std::function<void(v1::ModelShape*)> change;
    const char* field;
  };
  const Case kCases[] = {
      {[](v1::ModelShape* s) { s->set_architecture("bloom"); }, "f.model_shape.architecture"},
      {[](v1::ModelShape* s) { s->set_layers(0); }, "f.model_shape.layers"},
      {[](v1::ModelShape* s) { s->set_layers(1001); }, "f.model_shape.layers"},
      {[](v1::ModelShape* s) { s->set_width(-768); }, "f.model_shape.width"},
      {[](v1::ModelShape* s) { s->set_heads(7); }, "f.model_shape.heads: 7 does not divide"},
      {[](v1::ModelShape* s) { s->set_vocabulary_size(0); }, "f.model_shape.vocabulary_size"},
      {[](v1::ModelShape* s) { s->set_context_length(0); }, "f.model_shape.context_length"},
  };
  EXPECT_THAT(ValidateModelShape(Gpt2Small(), "f.model_shape"), IsOk());
  for (const Case& test : kCases) {
    v1::ModelShape shape = Gpt2Small();
    test.change(&shape);
    EXPECT_THAT(ValidateModelShape(shape, "f.model_shape"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test.field)));
  }
}

}  // namespace
}  // namespace wattle::scheduler
