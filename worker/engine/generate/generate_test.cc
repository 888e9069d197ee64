// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whole generate jobs of a tiny random model: the texts reported by steps, stop texts, the
// repetition penalty.
#include "worker/engine/generate/generate.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

class GenerateJobTest : public testing::Test {
 protected:
  GenerateJobTest() {
    settings_.model = JobOn(MakeTinyModel("generate", 5));
    settings_.prompts = {{.id = "a", .text = "one"}, {.id = "b", .text = "another"}};
    settings_.max_new_tokens = 16;
    settings_.sampling = {.temperature = 1.0, .seed = 3};
  }

  std::vector<Generation> Run() {
    told_.clear();
    RecordingSink sink;
    const auto result = Generate(settings_, sink);
    EXPECT_THAT(result, IsOk());
    for (const StepReport& step : sink.steps) {
      told_ += step.text;
    }
    return result.ok() ? result->generations : std::vector<Generation>(2);
  }

  GenerateSettings settings_;
  std::string told_;  // by the steps of the last run
};

TEST_F(GenerateJobTest, TheStepsTellTheWholeText) {
  const std::vector<Generation> made = Run();
  EXPECT_EQ(told_, made[0].text + "\n\n" + made[1].text);
  EXPECT_EQ(made[0].finish, FinishReason::kLength);
  EXPECT_EQ(made[0].generated_tokens, 16);
}

// Prompts and texts of different lengths; more prompts than slots, so that slots are reused.
TEST_F(GenerateJobTest, ABatchGivesTheTextsOfOnePromptAfterTheOther) {
  settings_.model.recipe = *RecipeOfIdentity("int8");  // FP32 guarantees only a tolerance
  settings_.prompts = {{"a", "one"},
                       {"b", "a much longer prompt than the others"},
                       {"c", "x"},
                       {"d", "two three"},
                       {"e", "four"}};
  settings_.stops = {"e", "o"};
  const std::vector<Generation> alone = Run();
  const std::string told = told_;
  for (const int64_t batch : {2, 3, 5, 64}) {
    settings_.batch_size = batch;
    const std::vector<Generation> together = Run();
    ASSERT_EQ(together.size(), alone.size());
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_EQ(together[i].text, alone[i].text) << "prompt " << i << ", batch " << batch;
      EXPECT_EQ(together[i].generated_tokens, alone[i].generated_tokens);
      EXPECT_EQ(together[i].finish, alone[i].finish);
    }
    EXPECT_EQ(told_, told) << "batch " << batch;
  }
}

TEST_F(GenerateJobTest, AStopTextEndsTheTextBeforeIt) {
  const std::string whole = Run()[0].text;
  ASSERT_GT(whole.size(), 8U);
  const std::string stop = whole.substr(4, 3);
  settings_.stops = {"never met", stop};
  const std::vector<Generation> made = Run();
  EXPECT_EQ(made[0].finish, FinishReason::kStop);
  EXPECT_EQ(FinishReasonName(made[0].finish), "stop");
  EXPECT_EQ(made[0].text, whole.substr(0, whole.find(stop)));
  EXPECT_LT(made[0].generated_tokens, 16);
  EXPECT_EQ(told_, made[0].text + "\n\n" + made[1].text);
}

TEST_F(GenerateJobTest, ARepetitionPenaltyChangesGreedyTextAndNoneChangesNothing) {
  settings_.sampling = {};
  settings_.max_new_tokens = 40;
  const std::string plain = Run()[0].text;
  settings_.sampling.repetition_penalty = 0.0;  // same as leaving it out
  EXPECT_EQ(Run()[0].text, plain);
  settings_.sampling.repetition_penalty = 5.0;
  EXPECT_NE(Run()[0].text, plain);
}

}  // namespace
}  // namespace wattle::engine
