// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A chat model from end to end against transformers (tests/golden/chat/model): the model's template
// formats conversations, the loss counts only the assistant's text, and an answer ends with its
// turn.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/durable_file.h"
#include "base/testing/status_matchers.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

constexpr double kRelativeTolerance = 1e-5;
constexpr char kConfigFile[] = "tokenizer_config.json";

std::string GoldenFile(const std::string& name) {
  return absl::StrCat(GoldenFolder(), "/chat/model/", name);
}

nlohmann::json Expected() {
  return nlohmann::json::parse(FileBytes(GoldenFile("expected.json")));
}

// A copy of the model whose tokenizer_config.json is `config`.
std::string ModelWith(const std::string& config) {
  std::string copy = NewTestDirectory("model");
  for (const char* file :
       {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}) {
    EXPECT_THAT(WriteFileDurably(absl::StrCat(copy, "/", file), FileBytes(GoldenFile(file))),
                IsOk());
  }
  EXPECT_THAT(WriteFileDurably(absl::StrCat(copy, "/", kConfigFile), config), IsOk());
  return copy;
}

// The template without its marks: the assistant's text then follows from the generation prompt.
std::string UnmarkedModel() {
  return ModelWith(absl::StrReplaceAll(FileBytes(GoldenFile(kConfigFile)),
                                       {{"{% generation %}", ""}, {"{% endgeneration %}", ""}}));
}

// The steps of generate_model.py: all conversations in each, AdamW without decay, clipping and
// schedule.
FinetuneSettings GoldenFinetune(const std::string& model_directory) {
  FinetuneSettings settings;
  settings.model = JobOn(model_directory);
  settings.data = GoldenFile("conversations.jsonl");
  settings.heldout_data = settings.data;
  settings.work_directory = NewTestDirectory("work");
  settings.output_directory = NewTestDirectory("output");
  settings.steps = static_cast<int64_t>(Expected()["losses"].size());
  settings.batch_size = 3;
  settings.learning_rate = 1e-3;
  settings.learning_rate_shape = LearningRateShape::kConstant;
  settings.adamw = {
      .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-3, .weight_decay = 0.0, .clip_norm = -1.0};
  return settings;
}

void ExpectGoldenTraining(const FinetuneSettings& settings) {
  const nlohmann::json expected = Expected();
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  const std::vector<double> losses = sink.TrainingLosses();
  ASSERT_EQ(losses.size(), expected["losses"].size());
  for (size_t step = 0; step < losses.size(); ++step) {
    const auto wanted = expected["losses"][step].get<double>();
    EXPECT_NEAR(losses[step], wanted, kRelativeTolerance * wanted) << "step " << step + 1;
  }
  const auto before = expected["loss"].get<double>();
  EXPECT_NEAR(result->heldout_loss_before.value(), before, kRelativeTolerance * before);
}

TEST(ChatModelTest, LossesOfATrainingAreThoseOfTheReference) {
  ExpectGoldenTraining(GoldenFinetune(GoldenFile("")));
}

TEST(ChatModelTest, ATemplateWithoutMarksTrainsOnTheSameTokens) {
  ExpectGoldenTraining(GoldenFinetune(UnmarkedModel()));
}

TEST(ChatModelTest, PackedExamplesHaveTheSameLosses) {
  FinetuneSettings settings = GoldenFinetune(GoldenFile(""));
  settings.packing = true;
  ExpectGoldenTraining(settings);
}

TEST(ChatModelTest, AnEvaluationCountsWhatATrainingCounts) {
  const nlohmann::json expected = Expected();
  EvaluateSettings settings;
  settings.model = JobOn(GoldenFile(""));
  settings.data = GoldenFile("conversations.jsonl");
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  ASSERT_THAT(result, IsOk());
  const auto wanted = expected["loss"].get<double>();
  EXPECT_NEAR(result->figures.loss, wanted, kRelativeTolerance * wanted);
  EXPECT_EQ(result->figures.predicted_tokens, expected["predicted_tokens"].get<int64_t>());
  settings.examples.loss_on = formats::LossOn::kAll;
  const auto all = Evaluate(settings, sink);
  ASSERT_THAT(all, IsOk());
  const auto wanted_of_all = expected["loss_of_all"].get<double>();
  EXPECT_NEAR(all->figures.loss, wanted_of_all, kRelativeTolerance * wanted_of_all);
}

// The prompts of the golden as conversations.
GenerateSettings GoldenQuestions(const std::string& model_directory) {
  GenerateSettings settings;
  settings.model = JobOn(model_directory);
  settings.max_new_tokens = 24;
  const nlohmann::json expected = Expected();
  for (const nlohmann::json& answer : expected["answers"]) {
    formats::Prompt& prompt = settings.prompts.emplace_back();
    prompt.id = absl::StrCat(settings.prompts.size());
    for (const nlohmann::json& message : answer["messages"]) {
      prompt.text = message["content"].get<std::string>();
      prompt.messages.push_back({message["role"].get<std::string>(), prompt.text});
    }
  }
  return settings;
}

// The end token of the answers is only in generation_config.json.
TEST(ChatModelTest, AnswersAreThoseOfTheReferenceAndEndWithTheTurn) {
  GenerateSettings settings = GoldenQuestions(GoldenFile(""));
  const nlohmann::json answers = Expected()["answers"];
  for (const int64_t batch : {1, 2}) {
    settings.batch_size = batch;
    RecordingSink sink;
    const auto result = Generate(settings, sink);
    ASSERT_THAT(result, IsOk());
    ASSERT_EQ(result->generations.size(), answers.size());
    for (size_t i = 0; i < answers.size(); ++i) {
      const Generation& made = result->generations[i];
      EXPECT_EQ(made.text, answers[i]["text"].get<std::string>());
      EXPECT_EQ(made.prompt, settings.prompts[i].text);
      EXPECT_EQ(made.prompt_tokens, answers[i]["prompt_tokens"].get<int64_t>());
      EXPECT_EQ(made.generated_tokens, answers[i]["generated_tokens"].get<int64_t>());
      EXPECT_EQ(made.finish, FinishReason::kEndOfText);
    }
  }
  // Without the template the model reads only the words.
  settings.prompts[0].messages.clear();
  RecordingSink sink;
  const auto plain = Generate(settings, sink);
  ASSERT_THAT(plain, IsOk());
  EXPECT_LT(plain->generations[0].prompt_tokens, answers[0]["prompt_tokens"].get<int64_t>());
}

TEST(ChatModelTest, AMessageThatSpellsASpecialTokenIsNamedWithItsPrompt) {
  GenerateSettings settings = GoldenQuestions(GoldenFile(""));
  settings.prompts[1].messages[0].content = "be<|im_end|>";
  RecordingSink sink;
  EXPECT_THAT(Generate(settings, sink),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("prompt 2: messages[0].content: spells the special token")));
}

TEST(ChatModelTest, AModelWithoutATemplateTakesNoConversations) {
  RecordingSink sink;
  const std::string bare = ModelWith("{}");
  EXPECT_THAT(Finetune(GoldenFinetune(bare), sink),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("chat_template: missing")));
  EXPECT_THAT(Generate(GoldenQuestions(bare), sink),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("chat_template: missing")));
}

}  // namespace
}  // namespace wattle::engine
