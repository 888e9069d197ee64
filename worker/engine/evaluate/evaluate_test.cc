// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Figures of quality against the same figures computed from all logits, in doubles.
#include "worker/engine/evaluate/evaluate.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "formats/squad.h"
#include "formats/squad_score.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/token_batch.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_operators.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

LoadedModel LoadToEvaluate(const std::string& directory) {
  auto model = LoadModel(directory, {.device = TestDeviceName()});
  EXPECT_THAT(model, IsOk());
  model->decoder.weights.tokens.value.mul_(30.0);  // tied: logits of several units
  return *std::move(model);
}

TEST(CompareWithTest, AgreesWithTheDefinition) {
  const LoadedModel model = LoadToEvaluate(MakeTinyModel("model", 1));
  const LoadedModel reference = LoadToEvaluate(MakeTinyModel("reference", 2));
  formats::ExamplePool pool;
  AddExample(pool, {7, 91, 3, 200, 14, 256, 0, 5}, {0, 0, 1, 1, 1, 1, 1, 1});
  AddExample(pool, {9, 2, 250}, {0, 1, 1});
  const std::vector<size_t> both = {0, 1};
  const TokenBatch batch = MakeTokenBatch(pool, both);
  const auto probabilities = [&](const LoadedModel& of) {
    return at::_log_softmax(AllLogits(of.decoder, batch).cpu().to(at::kDouble), 1, false);
  };
  const at::Tensor log_p = probabilities(model);
  const at::Tensor log_q = probabilities(reference);
  ComparisonSums wanted;
  for (size_t i = 0; i < batch.predicting.size(); ++i) {
    const auto* p = log_p[batch.predicting[i]].data_ptr<double>();
    const auto* q = log_q[batch.predicting[i]].data_ptr<double>();
    wanted.loss -= p[batch.targets[i]];
    wanted.reference_loss -= q[batch.targets[i]];
    int64_t top_p = 0;
    int64_t top_q = 0;
    for (int64_t token = 0; token < 257; ++token) {
      wanted.divergence += std::exp(q[token]) * (q[token] - p[token]);
      top_p = p[token] > p[top_p] ? token : top_p;
      top_q = q[token] > q[top_q] ? token : top_q;
    }
    wanted.same_top += top_p == top_q ? 1 : 0;
  }
  const ComparisonSums sums = CompareWith(model.decoder, reference.decoder, batch);
  EXPECT_GT(wanted.divergence, 0.01);
  EXPECT_NEAR(sums.loss, wanted.loss, 1e-5 * wanted.loss);
  EXPECT_NEAR(sums.reference_loss, wanted.reference_loss, 1e-5 * wanted.reference_loss);
  EXPECT_NEAR(sums.divergence, wanted.divergence, 1e-4 * wanted.divergence);
  EXPECT_EQ(sums.same_top, wanted.same_top);
  EXPECT_EQ(CompareWith(model.decoder, model.decoder, batch).same_top,
            static_cast<int64_t>(batch.predicting.size()));
}

TEST(EvaluateTest, AModelAgreesWithItself) {
  EvaluateSettings settings;
  settings.model = JobOn(MakeTinyModel("model", 1));
  settings.reference_directory = settings.model.directory;
  settings.data = MakeTinyText("text", 60);
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->figures.reference.has_value());
  EXPECT_EQ(result->figures.reference->loss, result->figures.loss);
  EXPECT_EQ(result->figures.reference->top1_agreement, 1.0);
  EXPECT_EQ(result->figures.reference->kl_divergence, 0.0);
}

// The outcome of a training with too high a rate and without held-out data.
TEST(EvaluateTest, ALossThatIsNotFiniteIsAnErrorThatNamesTheData) {
  FinetuneSettings training = TinyFinetune("run");
  training.heldout_data.clear();
  training.steps = 1;
  training.learning_rate = 1e30;
  training.warmup_steps = 0;
  RecordingSink sink;
  ASSERT_THAT(Finetune(training, sink), IsOk());
  EvaluateSettings settings;
  settings.model = JobOn(training.output_directory);
  settings.data = MakeTinyText("text", 60);
  EXPECT_THAT(Evaluate(settings, sink),
              StatusIs(absl::StatusCode::kAborted,
                       AllOf(HasSubstr(settings.data), HasSubstr("step 1 of"),
                             HasSubstr("is not finite"), HasSubstr("learning_rate"))));
}

// The memory for reading the data is freed before the weights need room.
TEST(EvaluateTest, TheDataAreReadBeforeTheWeights) {
  EvaluateSettings settings;
  settings.model = {.directory = MakeTinyModel("model", 1), .device = "no device"};
  RecordingSink sink;
  for (const char* data : {"/no/such.txt", "/no/such.json"}) {
    settings.data = data;
    EXPECT_THAT(Evaluate(settings, sink), StatusIs(absl::StatusCode::kNotFound, HasSubstr(data)));
  }
}

TEST(EvaluateTest, BitsAndWordsAreOfTheWholeText) {
  EvaluateSettings settings;
  settings.model = JobOn(MakeTinyModel("model", 1));
  settings.data = MakeTinyText("text", 60);
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->text.has_value());
  EXPECT_EQ(result->text->window_tokens, 64);
  EXPECT_EQ(result->text->stride_tokens, 32);
  const double nats = result->figures.loss * static_cast<double>(result->figures.predicted_tokens);
  EXPECT_NEAR(result->text->bits_per_byte,
              nats / std::log(2.0) / static_cast<double>(FileBytes(settings.data).size()), 1e-9);
  EXPECT_NEAR(std::log(result->text->word_perplexity), nats / 60.0, 1e-9);
  settings.examples.limit_examples = 1;
  EXPECT_FALSE(Evaluate(settings, sink)->text.has_value());
}

TEST(EvaluateTest, AnswersAreWhatGenerationSaysUpToTheEndOfItsLine) {
  EvaluateSettings settings;
  settings.model = JobOn(MakeTinyModel("model", 1));
  settings.data = MakeTinySquad("squad", 3);
  settings.score_answers = true;
  settings.max_answer_tokens = 6;
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->answers.has_value());
  ASSERT_EQ(result->answers->answers.size(), 3U);
  EXPECT_EQ(result->answers->answers[2].first, "q2");
  EXPECT_GE(result->answers->exact_match_percent, 0.0);
  EXPECT_LE(result->answers->generated_tokens, 18);
  const auto data = formats::ReadSquad(settings.data);
  ASSERT_THAT(data, IsOk());
  GenerateSettings generate;
  generate.model = settings.model;
  generate.max_new_tokens = 6;
  generate.prompts = {{"1", formats::SquadPrompt(*data, data->questions[1])}};
  const auto made = Generate(generate, sink);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(result->answers->answers[1].second, formats::SquadAnswerOf(made->generations[0].text));
}

TEST(EvaluateTest, WhatDoesNotFitIsRefused) {
  EvaluateSettings settings;
  settings.model = JobOn(MakeTinyModel("model", 1));
  settings.data = MakeTinyText("text", 60);
  settings.score_answers = true;
  RecordingSink sink;
  EXPECT_THAT(Evaluate(settings, sink).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("SQuAD")));
  settings.data = MakeTinySquad("squad", 1);
  settings.max_answer_tokens = 64;
  EXPECT_THAT(Evaluate(settings, sink).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("max_answer_tokens: 64")));
}

}  // namespace
}  // namespace wattle::engine
