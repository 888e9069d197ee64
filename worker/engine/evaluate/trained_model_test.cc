// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Figures of a trained model (../shared/models/gpt2-30m): the loss that its README states, and what
// int8 costs.
#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/test_model.h"

namespace wattle::engine {
namespace {

constexpr int64_t kWindow = 512;

class TrainedModelTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string shared = absl::StrCat(WATTLE_SOURCE_DIR, "/../shared");
    settings_.model.directory = shared + "/models/gpt2-30m";
    settings_.data = shared + "/data/wikitext2/test.txt";
    if (!std::filesystem::exists(settings_.data)) {
      GTEST_SKIP() << shared << " is not there";
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

  EvaluateSettings settings_;
};

// The first 65,536 tokens, each window's first not predicted. transformers 4.30 gives 5.0374794;
// the model's README says 5.044 without its exact windows.
TEST_F(TrainedModelTest, LossOnWikitextIsThatOfTransformers) {
  EXPECT_NEAR(Loss(65536 / kWindow), 5.0374794, 1e-5);
}

TEST_F(TrainedModelTest, Int8ChangesThePerplexityByLessThanHalfAPercent) {
  const double change = std::exp(Loss(32, "int8") - Loss(32)) - 1.0;
  RecordProperty("perplexity_change_percent", absl::StrCat(100.0 * change));
  EXPECT_LT(std::abs(change), 0.005);
}

}  // namespace
}  // namespace wattle::engine
