// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Figures of a trained model (models/gpt2-30m of WATTLE_TEXTS): the loss in its README, and the
// cost of quantization, also with outlier channels, which make it hard. Calibration reads
// wikitext2's valid.txt, quality is measured on its test.txt.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/quant/quantize.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

constexpr int64_t kWindow = 512;

class TrainedModelTest : public testing::Test {
 protected:
  void SetUp() override {
    model_ = TextPath("models/gpt2-30m");
    calibration_ = TextPath("data/wikitext2/valid.txt");
    settings_.model.directory = model_;
    settings_.data = TextPath("data/wikitext2/test.txt");
    if (model_.empty() || calibration_.empty() || settings_.data.empty()) {
      GTEST_SKIP() << "WATTLE_TEXTS names no folder with models/gpt2-30m and data/wikitext2";
    }
    ASSERT_THAT(SetThreads(1), IsOk());
    settings_.window_tokens = kWindow;
    settings_.stride_tokens = kWindow;
    settings_.batch_size = 4;
  }

  double Loss(int64_t windows, const char* recipe = nullptr) {
    settings_.examples.limit_examples = windows;
    settings_.model.recipe.reset();
    if (recipe != nullptr) {
      settings_.model.recipe = *RecipeOfIdentity(recipe);
    }
    RecordingSink sink;
    const auto result = Evaluate(settings_, sink);
    EXPECT_THAT(result, IsOk());
    return result.ok() ? result->figures.loss : 0.0;
  }

  struct Change {
    double perplexity_percent = 0.0;
    double divergence = 0.0;  // mean KL divergence from the parent in nats
  };

  // The effect of int4 in groups of 64 on `parent`. calibration: empty: each weight to the nearest.
  Change Int4Change(const std::string& parent, const std::string& calibration) {
    QuantizeSettings quantize;
    quantize.model.directory = parent;
    quantize.model.recipe = *RecipeOfIdentity("int4-g64");
    quantize.output_directory = NewTestDirectory(calibration.empty() ? "nearest" : "calibrated");
    quantize.calibration_data = calibration;
    RecordingSink sink;
    EXPECT_THAT(Quantize(quantize, sink), IsOk());
    EvaluateSettings settings = settings_;
    settings.model.directory = quantize.output_directory;
    settings.examples.limit_examples = kWindows;
    settings.reference_directory = parent;
    const auto result = Evaluate(settings, sink);
    EXPECT_THAT(result, IsOk());
    if (!result.ok()) {
      return {};
    }
    const ReferenceFigures& reference = *result->figures.reference;
    return {.perplexity_percent = 100.0 * std::expm1(result->figures.loss - reference.loss),
            .divergence = reference.kl_divergence};
  }

  // The divergence is compared, too: over so few windows a diverging model may have the better
  // perplexity by chance.
  void ExpectThatCompensationHelps(const std::string& parent) {
    const Change nearest = Int4Change(parent, "");
    const Change compensated = Int4Change(parent, calibration_);
    RecordProperty("nearest_perplexity_change_percent", absl::StrCat(nearest.perplexity_percent));
    RecordProperty("compensated_perplexity_change_percent",
                   absl::StrCat(compensated.perplexity_percent));
    RecordProperty("nearest_divergence", absl::StrCat(nearest.divergence));
    RecordProperty("compensated_divergence", absl::StrCat(compensated.divergence));
    EXPECT_LT(compensated.perplexity_percent, 3.0);
    EXPECT_LT(compensated.perplexity_percent, 0.6 * nearest.perplexity_percent);
    EXPECT_LT(compensated.divergence, 0.6 * nearest.divergence);
  }

  static constexpr int64_t kWindows = 32;
  EvaluateSettings settings_;
  std::string model_;
  std::string calibration_;
};

// The first 65,536 tokens, without predicting each window's first token. transformers 4.30 gives
// 5.0374794; the model's README has 5.044 without its exact windows.
TEST_F(TrainedModelTest, LossOnWikitextIsThatOfTransformers) {
  EXPECT_NEAR(Loss(65536 / kWindow), 5.0374794, 1e-5);
}

TEST_F(TrainedModelTest, Int8ChangesThePerplexityByLessThanHalfAPercent) {
  const double change = std::exp(Loss(32, "int8") - Loss(32)) - 1.0;
  RecordProperty("perplexity_change_percent", absl::StrCat(100.0 * change));
  EXPECT_LT(std::abs(change), 0.005);
}

TEST_F(TrainedModelTest, CompensationTakesMostOfInt4sLossAway) {
  ExpectThatCompensationHelps(model_);
}

// Six channels of each norm 50 times larger, the weights that read them as much smaller: the FP32
// function is the same.
TEST_F(TrainedModelTest, CompensationBearsOutlierChannels) {
  auto model = LoadModel(model_, {});
  ASSERT_THAT(model, IsOk());
  for (BlockWeights& block : model->decoder.weights.blocks) {
    for (const auto& [norm, matrix] : {std::pair{&block.attention_norm, &block.qkv.matrix},
                                       std::pair{&block.mlp_norm, &block.up.matrix}}) {
      for (const int64_t channel : {5, 60, 101, 190, 250, 333}) {
        norm->weight[channel].mul_(50.0);
        norm->bias[channel].mul_(50.0);
        matrix->value.select(1, channel).div_(50.0);
      }
    }
  }
  const std::string outliers = NewTestDirectory("outliers");
  ASSERT_THAT(SaveModel(outliers, *model), IsOk());
  const double loss = Loss(kWindows);
  settings_.model.directory = outliers;
  EXPECT_NEAR(Loss(kWindows), loss, 1e-3);
  ExpectThatCompensationHelps(outliers);
}

}  // namespace
}  // namespace wattle::engine
