// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/quantization_recipe.h"

#include <set>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"

namespace wattle {
namespace {

using testing::HasSubstr;

TEST(QuantizationRecipeTest, IdentitiesReadBackAsTheSameRecipe) {
  for (const char* identity :
       {"none", "int8", "int8-g32", "int6-g16", "int4-g64", "int4a-g32", "nf4-g128", "bf16", "fp16",
        "int4-g32+head=int6-g16", "int4-g64+head=int8", "int4-g64+head=int8+embedding=int8+kv=int8",
        "none+kv=int8"}) {
    const auto recipe = RecipeOfIdentity(identity);
    ASSERT_THAT(recipe, IsOk()) << identity;
    EXPECT_EQ(RecipeIdentity(*recipe),
              identity == std::string("none+kv=int8") ? "fp32+kv=int8" : identity);
  }
}

TEST(QuantizationRecipeTest, WhatIsLeftOutIsTheDefault) {
  v1::QuantizationRecipe recipe;
  EXPECT_EQ(RecipeIdentity(recipe), "none");
  recipe.mutable_matrices()->set_bits(4);
  EXPECT_EQ(RecipeIdentity(recipe), "int4-g64");
  recipe.mutable_matrices()->set_scheme(v1::NUMBER_SCHEME_NORMAL_FLOAT);
  EXPECT_EQ(RecipeIdentity(recipe), "nf4-g64");
  recipe.mutable_matrices()->Clear();
  recipe.mutable_matrices()->set_bits(8);
  EXPECT_EQ(RecipeIdentity(recipe), "int8");
}

TEST(QuantizationRecipeTest, ExceptionsChangeTheIdentityWhateverTheirOrder) {
  auto recipe = RecipeOfIdentity("int4-g64");
  ASSERT_THAT(recipe, IsOk());
  const auto add = [](v1::QuantizationRecipe& to, const char* tensor, int bits) {
    v1::TensorException& exception = *to.add_exceptions();
    exception.set_tensor(tensor);
    exception.mutable_format()->set_bits(bits);
  };
  v1::QuantizationRecipe one = *recipe;
  add(one, "a", 8);
  add(one, "b", 32);
  v1::QuantizationRecipe other = *recipe;
  add(other, "b", 32);
  add(other, "a", 8);
  v1::QuantizationRecipe third = *recipe;
  add(third, "a", 8);
  add(third, "b", 16);
  EXPECT_EQ(RecipeIdentity(one), RecipeIdentity(other));
  EXPECT_EQ(
      std::set<std::string>({RecipeIdentity(*recipe), RecipeIdentity(one), RecipeIdentity(third)})
          .size(),
      3U);
  EXPECT_EQ(FormatName(MatrixFormat(one, "a", false)), "int8");
  EXPECT_EQ(FormatName(MatrixFormat(one, "b", false)), "fp32");
  EXPECT_EQ(FormatName(MatrixFormat(one, "c", false)), "int4-g64");
  EXPECT_THAT(RecipeOfIdentity(RecipeIdentity(one)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("give the recipe itself")));
}

v1::QuantizationRecipe Int4With(const std::vector<std::pair<const char*, int>>& bits_by_tensor) {
  v1::QuantizationRecipe recipe = *RecipeOfIdentity("int4-g64");
  for (const auto& [tensor, bits] : bits_by_tensor) {
    v1::TensorException& exception = *recipe.add_exceptions();
    exception.set_tensor(tensor);
    exception.mutable_format()->set_bits(bits);
  }
  return recipe;
}

TEST(QuantizationRecipeTest, DifferentAssignmentsHaveDifferentIdentities) {
  // The two share the 32-bit FNV-1a hash 0xf270e71c.
  EXPECT_NE(RecipeIdentity(Int4With({{"layers.0.qkv.weight", 32},
                                     {"layers.1.up.weight", 32},
                                     {"layers.3.attention_output.weight", 8},
                                     {"layers.3.up.weight", 8}})),
            RecipeIdentity(Int4With({{"layers.1.qkv.weight", 32},
                                     {"layers.2.up.weight", 32},
                                     {"layers.4.qkv.weight", 8},
                                     {"layers.5.qkv.weight", 32}})));
}

TEST(QuantizationRecipeTest, AnExceptionThatChangesNothingIsNotInTheIdentity) {
  EXPECT_EQ(RecipeIdentity(Int4With({{"layers.0.qkv.weight", 4}})), "int4-g64");
  EXPECT_EQ(RecipeIdentity(Int4With({{"layers.0.qkv.weight", 8}, {"layers.1.qkv.weight", 4}})),
            RecipeIdentity(Int4With({{"layers.0.qkv.weight", 8}})));
  // The head's exception stands beside the head's format, not the matrices'.
  v1::QuantizationRecipe recipe = Int4With({{"tokens.weight", 8}});
  EXPECT_NE(RecipeIdentity(recipe), "int4-g64");
  recipe.mutable_head()->set_bits(8);
  EXPECT_EQ(RecipeIdentity(recipe), "int4-g64+head=int8");
  recipe.mutable_exceptions(0)->mutable_format()->set_bits(4);
  EXPECT_NE(RecipeIdentity(recipe), "int4-g64+head=int8");
}

TEST(QuantizationRecipeTest, ATensorHasOneException) {
  // The first exception would apply, but the identity would not show which one is first.
  EXPECT_THAT(CheckRecipe(Int4With({{"layers.0.qkv.weight", 8}, {"layers.0.qkv.weight", 32}})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("recipe.exceptions: layers.0.qkv.weight is named twice")));
}

TEST(QuantizationRecipeTest, HeadFollowsTheMatricesUnlessItHasItsOwnFormat) {
  auto recipe = RecipeOfIdentity("int4-g64");
  ASSERT_THAT(recipe, IsOk());
  EXPECT_EQ(FormatName(MatrixFormat(*recipe, "head", true)), "int4-g64");
  recipe->mutable_head()->set_bits(8);
  EXPECT_EQ(FormatName(MatrixFormat(*recipe, "head", true)), "int8");
  EXPECT_EQ(FormatName(EmbeddingFormat(*recipe)), "fp32");
}

TEST(QuantizationRecipeTest, BytesCountTheScales) {
  const auto bytes = [](const char* identity) {
    const auto recipe = RecipeOfIdentity(identity);
    return StoredBytes(MatrixFormat(*recipe, "", false), 10, 128);
  };
  EXPECT_DOUBLE_EQ(bytes("none"), 10 * 128 * 4);
  EXPECT_DOUBLE_EQ(bytes("bf16"), 10 * 128 * 2);
  EXPECT_DOUBLE_EQ(bytes("int8"), 10 * 128 + 10 * 4);
  EXPECT_DOUBLE_EQ(bytes("int4-g64"), 10 * 64 + 10 * 2 * 2);
  EXPECT_DOUBLE_EQ(bytes("int4a-g32"), 10 * 64 + 10 * 4 * 2 * 2);
  const auto recipe = RecipeOfIdentity("int6-g16");
  EXPECT_DOUBLE_EQ(StoredBytes(MatrixFormat(*recipe, "", false), 10, 512), 10 * 2 * 210)
      << "blocks of Q6_K";
}

TEST(QuantizationRecipeTest, WhatDoesNotExistIsRefused) {
  for (const char* identity :
       {"", "int7", "int8-g64", "int6", "int6-g32", "int6a-g16", "int4-g65", "int4-g", "int4-gx",
        "fp32-g64", "int8+tail=int8", "int8+head=", "nf8"}) {
    EXPECT_FALSE(RecipeOfIdentity(identity).ok()) << identity;
  }
  v1::QuantizationRecipe recipe;
  recipe.mutable_kv_cache()->set_bits(3);
  EXPECT_THAT(CheckRecipe(recipe),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("recipe.kv_cache: bits: 3")));
}

TEST(QuantizationRecipeTest, KeysAndValuesAreFloatUnlessTheRecipeSaysInt8) {
  EXPECT_FALSE(KeysAndValuesAreInt8(*RecipeOfIdentity("int8")));
  EXPECT_TRUE(KeysAndValuesAreInt8(*RecipeOfIdentity("none+kv=int8")));
  EXPECT_FALSE(KeysAndValuesAreInt8(*RecipeOfIdentity("int8+kv=int8a")));
}

TEST(QuantizationRecipeTest, ASpecAsksByNameOrByRecipe) {
  const auto int8 = RecipeOfIdentity("int8");
  ASSERT_THAT(int8, IsOk());
  EXPECT_EQ(*WantedQuantization(v1::QUANTIZATION_UNSPECIFIED, nullptr), "");
  EXPECT_EQ(*WantedQuantization(v1::QUANTIZATION_NONE, nullptr), "none");
  EXPECT_EQ(*WantedQuantization(v1::QUANTIZATION_INT8, nullptr), "int8");
  EXPECT_EQ(*WantedQuantization(v1::QUANTIZATION_INT4, nullptr), "int4-g64");
  EXPECT_EQ(*WantedQuantization(v1::QUANTIZATION_NF4, nullptr), "nf4-g64");
  EXPECT_EQ(*WantedQuantization(v1::QUANTIZATION_ADAPTIVE, nullptr), kAdaptiveQuantization);
  EXPECT_THAT(RecipeOfIdentity(kAdaptiveQuantization),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a quantize job finds")));
  EXPECT_EQ(*WantedQuantization(v1::QUANTIZATION_UNSPECIFIED, &*int8), "int8");
  EXPECT_THAT(WantedQuantization(v1::QUANTIZATION_INT8, &*int8),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("leave one of the two out")));
}

}  // namespace
}  // namespace wattle
