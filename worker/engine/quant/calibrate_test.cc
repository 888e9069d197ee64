// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Calibrated quantization of whole tiny models, measured on text not used for calibration.
#include "worker/engine/quant/calibrate.h"

#include <filesystem>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/core/Tensor.h>

#include "base/durable_file.h"
#include "base/testing/status_matchers.h"
#include "models/decoder_config.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/quant/quantize.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

// A model whose logits spread over several units.
std::string MakePeakedModel(const std::string& name) {
  const std::string random = MakeTinyModel(name + "_random", 11);
  auto model = LoadModel(random, {});
  EXPECT_THAT(model, IsOk());
  for (BlockWeights& block : model->decoder.weights.blocks) {
    for (MatrixWeights* matrix : {&block.qkv.matrix, &block.attention_output.matrix,
                                  &block.up.matrix, &block.down.matrix}) {
      matrix->value.mul_(8.0);
    }
  }
  model->decoder.weights.tokens.value.mul_(8.0);
  const std::string directory = NewTestDirectory(name);
  EXPECT_THAT(SaveModel(directory, *model), IsOk());
  return directory;
}

// The same function with two channels of each norm 50 times larger and the weights that read them
// as much smaller, as in large models.
std::string MakeOutlierModel(const std::string& name, const std::string& of) {
  auto model = LoadModel(of, {});
  EXPECT_THAT(model, IsOk());
  for (BlockWeights& block : model->decoder.weights.blocks) {
    for (const auto& [norm, matrix] : {std::pair{&block.attention_norm, &block.qkv.matrix},
                                       std::pair{&block.mlp_norm, &block.up.matrix}}) {
      for (const int64_t channel : {3, 20}) {
        norm->weight[channel].mul_(50.0);
        norm->bias[channel].mul_(50.0);
        matrix->value.select(1, channel).div_(50.0);
      }
    }
  }
  const std::string directory = NewTestDirectory(name);
  EXPECT_THAT(SaveModel(directory, *model), IsOk());
  return directory;
}

// calibration: empty: each weight to the nearest.
absl::StatusOr<std::string> Quantized(const std::string& name, const std::string& model,
                                      const char* recipe, const std::string& calibration) {
  QuantizeSettings settings;
  settings.model = JobOn(model);
  settings.model.recipe = *RecipeOfIdentity(recipe);
  settings.output_directory = NewTestDirectory(name);
  settings.calibration_data = calibration;
  settings.calibration_tokens = 2048;
  RecordingSink sink;
  const auto result = Quantize(settings, sink);
  if (!result.ok()) {
    return result.status();
  }
  EXPECT_EQ(sink.steps.size(), 9U);  // four matrices in each of two blocks, and the table
  return settings.output_directory;
}

// Mean KL divergence of the quantized model from its parent.
double Divergence(const std::string& model, const std::string& parent, const std::string& text) {
  EvaluateSettings settings;
  settings.model = JobOn(model);
  settings.data = text;
  settings.reference_directory = parent;
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  EXPECT_THAT(result, IsOk());
  return result.ok() ? result->figures.reference->kl_divergence : 0.0;
}

// Norms of 1 + weight, one norm for two matrices, inner norms, a head with a bias.
TEST(CalibrateFamiliesTest, EveryFormOfBlockCanBeCalibrated) {
  for (const char* family :
       {"phi", "gpt_neox", "stablelm", "gemma2", "kosmos_2_text_model", "opt"}) {
    const std::string parent = MakeTinyModel(family, 3);
    ASSERT_TRUE(std::filesystem::remove(parent + "/model.safetensors"));
    ASSERT_THAT(WriteFileDurably(parent + "/config.json",
                                 models::FormatDecoderConfig(TinyConfigOf(family))),
                IsOk());
    ASSERT_THAT(InitializeModelDirectory(parent, 3), IsOk());
    const std::string text = MakeTinyText("calibration", 600);
    const auto calibrated =
        Quantized(absl::StrCat(family, "_calibrated"), parent, "int4-g32", text);
    ASSERT_THAT(calibrated, IsOk()) << family;
    EXPECT_LT(Divergence(*calibrated, parent, text), 0.01) << family;
  }
}

class CalibrateTest : public testing::TestWithParam<const char*> {};

TEST_P(CalibrateTest, LosesLessThanRoundingToNearest) {
  const std::string parent = MakePeakedModel("parent");
  const std::string read = MakeTinyText("calibration", 600);
  const std::string other = MakeTinySquad("other", 40);
  const auto nearest = Quantized("nearest", parent, GetParam(), "");
  const auto calibrated = Quantized("calibrated", parent, GetParam(), read);
  ASSERT_THAT(nearest, IsOk());
  ASSERT_THAT(calibrated, IsOk());
  const double loss = Divergence(*nearest, parent, other);
  const double compensated_loss = Divergence(*calibrated, parent, other);
  RecordProperty("nearest", absl::StrCat(loss));
  RecordProperty("calibrated", absl::StrCat(compensated_loss));
  EXPECT_GT(loss, 0.0);
  EXPECT_LT(compensated_loss, 0.6 * loss) << "nearest " << loss;
}

TEST_P(CalibrateTest, OutlierChannelsCostNothing) {
  const std::string parent = MakePeakedModel("parent");
  const std::string outliers = MakeOutlierModel("outliers", parent);
  const std::string read = MakeTinyText("calibration", 600);
  const std::string other = MakeTinySquad("other", 40);
  EXPECT_LT(Divergence(outliers, parent, other), 1e-6);  // the function is the same
  const auto plain = Quantized("plain", parent, GetParam(), read);
  const auto rescaled = Quantized("rescaled", outliers, GetParam(), read);
  ASSERT_THAT(plain, IsOk());
  ASSERT_THAT(rescaled, IsOk());
  EXPECT_LT(Divergence(*rescaled, parent, other), 1.3 * Divergence(*plain, parent, other));
}

INSTANTIATE_TEST_SUITE_P(Recipes, CalibrateTest, testing::Values("int4-g32", "nf4-g32"),
                         [](const auto& row) {
                           return absl::StrReplaceAll(row.param, {{"-", "_"}});
                         });

TEST(CalibrateFilesTest, TheResultIsTheSameBytesEachTimeAndACorruptOneIsRefused) {
  const std::string parent = MakePeakedModel("parent");
  const std::string read = MakeTinyText("calibration", 600);
  const auto first = Quantized("first", parent, "int4-g32+head=int8", read);
  const auto second = Quantized("second", parent, "int4-g32+head=int8", read);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  const std::string path = *second + "/model.safetensors";
  std::string bytes = FileBytes(path);
  EXPECT_EQ(FileBytes(*first + "/model.safetensors"), bytes);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  ASSERT_THAT(WriteFileDurably(path, bytes), IsOk());
  EXPECT_THAT(LoadModel(*second, {}).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("was changed on the disk")));
}

TEST(CalibrateFilesTest, TooLittleTextIsRefused) {
  const std::string parent = MakePeakedModel("parent");
  EXPECT_THAT(Quantized("out", parent, "int4-g32", MakeTinyText("short", 3)).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("give a longer file")));
}

TEST(CalibrateFilesTest, TheTextIsCutToItsTokens) {
  const std::string parent = MakeTinyModel("parent", 1);
  const auto tokenizer = formats::BytePairEncoding::LoadDirectory(parent);
  ASSERT_THAT(tokenizer, IsOk());
  const auto text =
      ReadCalibrationText(MakeTinyText("text", 200), *tokenizer, TinyConfig(), /*tokens=*/100);
  ASSERT_THAT(text, IsOk());
  ASSERT_EQ(text->size(), 2U);  // the context is 64
  EXPECT_EQ((*text)[0].size(), 64U);
  EXPECT_EQ((*text)[1].size(), 36U);
}

}  // namespace
}  // namespace wattle::engine
