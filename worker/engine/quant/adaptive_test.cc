// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The search of bits per matrix on a tiny model with one matrix that int4 cannot represent well:
// the search finds this matrix and keeps its limits, and the recipe reloads bit for bit.
#include "worker/engine/quant/adaptive.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/core/Tensor.h>

#include "base/testing/status_matchers.h"
#include "models/decoder_config.h"
#include "models/model_directory.h"
#include "proto/quantization_recipe.h"
#include "wattle/v1/profile.pb.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/quant/quantize.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

constexpr int64_t kTokens = 1024;

constexpr char kHardMatrix[] = "layers.1.down.weight";

// In one matrix the first column of each group is so large that the others vanish in 4 bits. There
// is no norm before this matrix, so calibration cannot even out its columns.
std::string MakeLopsidedModel() {
  auto model = LoadModel(MakeTinyModel("lopsided_random", 11), {});
  EXPECT_THAT(model, IsOk());
  for (BlockWeights& block : model->decoder.weights.blocks) {
    for (MatrixWeights* matrix : {&block.qkv.matrix, &block.attention_output.matrix,
                                  &block.up.matrix, &block.down.matrix}) {
      matrix->value.mul_(8.0);
    }
  }
  at::Tensor& hard = model->decoder.weights.blocks[1].down.matrix.value;
  for (int64_t column = 0; column < hard.size(1); column += 32) {
    hard.select(1, column).mul_(14.0);
  }
  hard.mul_(8.0);
  model->decoder.weights.tokens.value.mul_(8.0);
  const std::string directory = NewTestDirectory("lopsided");
  EXPECT_THAT(SaveModel(directory, *model), IsOk());
  return directory;
}

// One layer whose rows are divisible by groups of 128.
std::string MakeWideModel() {
  v1::ModelShape shape;
  shape.set_architecture("gpt2");
  shape.set_layers(1);
  shape.set_width(128);
  shape.set_heads(4);
  shape.set_vocabulary_size(static_cast<int32_t>(TinyConfig().vocabulary));
  shape.set_context_length(64);
  const auto config = models::FromShape(shape);
  EXPECT_THAT(config, IsOk());
  const std::string directory = MakeTinyModel("wide", 5);
  std::filesystem::remove(directory + "/model.safetensors");
  std::ofstream(directory + "/config.json") << models::FormatDecoderConfig(*config);
  EXPECT_THAT(InitializeModelDirectory(directory, 5), IsOk());
  return directory;
}

class AdaptiveTest : public testing::Test {
 protected:
  AdaptiveTest() : parent_(MakeLopsidedModel()), text_(MakeTinyText("calibration", 400)) {}

  absl::StatusOr<AdaptiveChoice> Choose(const AdaptiveLimits& limits) {
    const auto tokenizer = formats::BytePairEncoding::LoadDirectory(parent_);
    EXPECT_THAT(tokenizer, IsOk());
    const auto text = ReadCalibrationText(text_, *tokenizer, TinyConfig(), kTokens);
    EXPECT_THAT(text, IsOk());
    return ChooseAdaptively(parent_, *text, limits, [] { return true; });
  }

  static std::string FormatIn(const AdaptiveChoice& choice, const std::string& tensor) {
    for (const StoredMatrix& matrix : choice.matrices) {
      if (matrix.tensor == tensor) {
        return matrix.format;
      }
    }
    return "absent";
  }

  std::string parent_;
  std::string text_;
};

TEST_F(AdaptiveTest, BitsGoWhereTheyCountWithinTheBudget) {
  const auto rich = Choose({.stored_bytes = 1'000'000});  // everything fits
  ASSERT_THAT(rich, IsOk());
  EXPECT_EQ(FormatIn(*rich, kHardMatrix), "int8");
  const int64_t raised = 32 * 128 / 2;  // about int8's additional cost in the hard matrix
  const AdaptiveLimits limits{.stored_bytes = rich->int4_bytes + raised};
  const auto choice = Choose(limits);
  ASSERT_THAT(choice, IsOk());
  EXPECT_LE(choice->stored_bytes, limits.stored_bytes);
  EXPECT_EQ(FormatIn(*choice, kHardMatrix), "int8");
  EXPECT_EQ(FormatIn(*choice, "tokens.weight"), "int4-g32");  // more than the room available
  EXPECT_LT(rich->divergence, choice->divergence);            // more bytes, less loss
  double hard = 0.0;
  double others = 0.0;
  for (const StoredMatrix& matrix : choice->matrices) {
    if (matrix.tensor == kHardMatrix) {
      hard = *matrix.importance;
    } else if (matrix.tensor != "tokens.weight") {
      others = std::max(others, *matrix.importance);
    }
  }
  EXPECT_GT(hard, others);
}

TEST_F(AdaptiveTest, AChoiceMayFillTheBudgetToTheLastByte) {
  const auto rich = Choose({.stored_bytes = 1'000'000});
  ASSERT_THAT(rich, IsOk());
  const auto exact = Choose({.stored_bytes = rich->stored_bytes});
  ASSERT_THAT(exact, IsOk());
  EXPECT_EQ(exact->stored_bytes, rich->stored_bytes);
  const auto less = Choose({.stored_bytes = rich->stored_bytes - 1});
  ASSERT_THAT(less, IsOk());
  EXPECT_LT(less->stored_bytes, rich->stored_bytes);
}

TEST_F(AdaptiveTest, TheSearchBeginsWithTheLargestGroupsThatDivideTheRows) {
  parent_ = MakeWideModel();
  const auto rich = Choose({});
  ASSERT_THAT(rich, IsOk());
  const auto scarce = Choose({.stored_bytes = rich->int4_bytes});
  ASSERT_THAT(scarce, IsOk());
  EXPECT_LE(scarce->stored_bytes, scarce->int4_bytes);
  EXPECT_LE(rich->stored_bytes, static_cast<int64_t>(1.3 * static_cast<double>(rich->int4_bytes)));
  std::set<std::string> formats;
  for (const StoredMatrix& matrix : scarce->matrices) {
    formats.insert(matrix.format);
  }
  EXPECT_THAT(formats, testing::Contains("int4-g128"));
  EXPECT_GT(formats.size(), 1U) << "what large groups save is spent elsewhere";
  int64_t steps = 0;
  const auto text = CalibrationText(16, std::vector<int64_t>(64, 7));
  ASSERT_THAT(ChooseAdaptively(parent_, text, {}, [&] { return ++steps > 0; }), IsOk());
  EXPECT_EQ(steps, StepsOfSearch(models::InspectModelDirectory(parent_)->config));
}

TEST_F(AdaptiveTest, AFloorIsMetWithFewerBytesThanInt8) {
  const auto loose = Choose({.perplexity_change_percent = 50.0});
  const auto tight = Choose({.perplexity_change_percent = 0.001});
  ASSERT_THAT(loose, IsOk());
  ASSERT_THAT(tight, IsOk());
  EXPECT_LE(loose->perplexity_change_percent, 50.0);
  EXPECT_LE(tight->perplexity_change_percent, 0.001);
  EXPECT_LT(loose->stored_bytes, tight->stored_bytes);
  bool has_float = false;  // int8 everywhere does not meet the tight one
  for (const StoredMatrix& matrix : tight->matrices) {
    has_float = has_float || matrix.format == "fp32";
  }
  EXPECT_TRUE(has_float);
}

TEST_F(AdaptiveTest, TheJobWritesTheRecipeAndItReloadsBitForBit) {
  QuantizeSettings settings;
  settings.model = JobOn(parent_);
  settings.output_directory = NewTestDirectory("out");
  settings.calibration_data = text_;
  settings.calibration_tokens = kTokens;
  settings.adaptive = AdaptiveLimits{};
  RecordingSink sink;
  const auto result = Quantize(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->model.recipe.name(), kAdaptiveQuantization);
  EXPECT_EQ(result->work.steps, static_cast<int64_t>(sink.steps.size()));
  EXPECT_EQ(result->matrices.size(), 10U);  // eight of the layers, tokens, positions
  ASSERT_TRUE(result->quality.has_value());
  EXPECT_GT(result->quality->kl_divergence, 0.0);
  EXPECT_LT(result->quality->kl_divergence, 0.5);
  const auto loaded = LoadModel(settings.output_directory, {});
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(RecipeIdentity(loaded->recipe), RecipeIdentity(result->model.recipe));
  const std::string again = NewTestDirectory("again");
  ASSERT_THAT(SaveModel(again, *loaded), IsOk());
  EXPECT_EQ(FileBytes(again + "/model.safetensors"),
            FileBytes(settings.output_directory + "/model.safetensors"));
}

TEST_F(AdaptiveTest, WhatCannotBeMetIsSaid) {
  EXPECT_THAT(Choose({.stored_bytes = 10}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("size_budget_bytes")));
  const CalibrationText one = {std::vector<int64_t>(64, 7)};
  EXPECT_THAT(ChooseAdaptively(parent_, one, {}, [] { return true; }).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("give a longer file")));
}

}  // namespace
}  // namespace wattle::engine
