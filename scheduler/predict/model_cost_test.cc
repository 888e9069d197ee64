// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/model_cost.h"

#include "gtest/gtest.h"

#include "proto/model_shape.h"

namespace wattle::scheduler {
namespace {

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

}  // namespace
}  // namespace wattle::scheduler
