// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/model_shape.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"

namespace wattle {
namespace {

using ::testing::HasSubstr;

TEST(ModelShapeTest, Gpt2SmallHasItsPublishedParameterCount) {
  EXPECT_DOUBLE_EQ(ParameterCount(Gpt2Shape()), 124439808);
}

TEST(ModelShapeTest, TinyLlamaHasItsPublishedParameterCount) {
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
  EXPECT_THAT(CheckModelShape(shape, "f"), IsOk());
  EXPECT_DOUBLE_EQ(ParameterCount(shape), 1100048384);
  shape.set_kv_heads(5);
  EXPECT_THAT(CheckModelShape(shape, "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f.kv_heads: 5")));
}

TEST(ModelShapeTest, AnUnknownFamilyIsRefusedWithTheKnownOnes) {
  v1::ModelShape shape = Gpt2Shape();
  shape.set_architecture("bloom");
  EXPECT_THAT(CheckModelShape(shape, "f"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("gpt2, gpt_neox")));
}

TEST(ModelShapeTest, NonsenseIsRefusedByField) {
  struct Case {
    std::function<void(v1::ModelShape*)> change;
    const char* field;
  };
  const Case kCases[] = {
      {[](v1::ModelShape* s) { s->set_layers(0); }, "f.model_shape.layers"},
      {[](v1::ModelShape* s) { s->set_layers(1001); }, "f.model_shape.layers"},
      {[](v1::ModelShape* s) { s->set_width(-768); }, "f.model_shape.width"},
      {[](v1::ModelShape* s) { s->set_heads(7); },
       "f.model_shape.heads: 7: want a divisor of width 768"},
      {[](v1::ModelShape* s) { s->set_vocabulary_size(0); }, "f.model_shape.vocabulary_size"},
      {[](v1::ModelShape* s) { s->set_context_length(0); }, "f.model_shape.context_length"},
  };
  EXPECT_THAT(CheckModelShape(Gpt2Shape(), "f.model_shape"), IsOk());
  for (const Case& test : kCases) {
    v1::ModelShape shape = Gpt2Shape();
    test.change(&shape);
    EXPECT_THAT(CheckModelShape(shape, "f.model_shape"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test.field)));
  }
}

}  // namespace
}  // namespace wattle
