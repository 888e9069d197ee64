// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/data_memory.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "proto/quantization_recipe.h"

namespace wattle::scheduler {
namespace {

v1::ModelShape Shape() {
  v1::ModelShape shape;
  shape.set_context_length(1024);
  shape.set_vocabulary_size(50257);
  return shape;
}

InputView SmallModel() {
  InputView model{.field = "model", .artifact = {}};
  *model.artifact.mutable_model_shape() = Shape();
  return model;
}

// About the SQuAD 2.0 training set: 130,000 questions about 19,000 paragraphs.
InputView Squad(const char* field, int64_t examples = 130'000, double longest = 5'000) {
  InputView input{.field = field, .artifact = {}};
  input.artifact.set_size_bytes(43'000'000 * examples / 130'000);
  v1::DatasetStatistics& data = *input.artifact.mutable_dataset();
  data.set_format("squad");
  data.set_examples(examples);
  data.set_contexts(examples / 7);
  data.set_mean_byte_length(850);
  data.set_mean_context_byte_length(750);
  for (const double bytes : {200.0, 800.0, longest}) {
    data.add_byte_length_quantiles(bytes);
  }
  return input;
}

InputView Text(const char* field, int64_t bytes) {
  InputView input{.field = field, .artifact = {}};
  input.artifact.set_size_bytes(bytes);
  v1::DatasetStatistics& data = *input.artifact.mutable_dataset();
  data.set_format("text");
  data.set_examples(bytes / 80);
  data.set_mean_byte_length(80);
  data.add_byte_length_quantiles(20);
  data.add_byte_length_quantiles(120);
  return input;
}

v1::JobSpec FinetuneWithData() {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_sequence_length(256);
  return spec;
}

constexpr double kBytesPerToken = 4.0;

TEST(DataMemoryTest, AParagraphCountsOnceAndAQuestionForEachExample) {
  const DataMemory memory = DataMemoryOf(
      FinetuneWithData(), std::vector<InputView>{SmallModel(), Squad("data")}, kBytesPerToken);
  // 4 bytes for each token of 18,571 paragraphs and 130,000 questions; an example and its ranges.
  const double tokens = (18'571 * 750.0 + 130'000 * 100.0) / 4 + 130'000;
  EXPECT_NEAR(static_cast<double>(memory.held_bytes), 4 * tokens + 130'000 * (24 + 3 * 24), 1e5);
  EXPECT_EQ(memory.longest_tokens, 5'001) << "a token has at least one byte";
  EXPECT_GT(memory.reading_bytes, 2 * memory.held_bytes);
  EXPECT_GT(memory.reading_bytes, 43'000'000 + 27'000'000) << "the file and its texts at once";
}

TEST(DataMemoryTest, HeldoutDataStandBesideTheData) {
  const DataMemory alone = DataMemoryOf(
      FinetuneWithData(), std::vector<InputView>{SmallModel(), Squad("data")}, kBytesPerToken);
  const DataMemory both = DataMemoryOf(
      FinetuneWithData(),
      std::vector<InputView>{SmallModel(), Squad("data"), Squad("heldout_data", 130'000, 9'000)},
      kBytesPerToken);
  EXPECT_EQ(both.longest_tokens, alone.longest_tokens);
  EXPECT_EQ(both.heldout_longest_tokens, 9'001);
  EXPECT_NEAR(static_cast<double>(both.held_bytes), 2.0 * static_cast<double>(alone.held_bytes), 2);
  EXPECT_NEAR(static_cast<double>(both.reading_bytes),
              static_cast<double>(alone.reading_bytes + alone.held_bytes), 2)
      << "read one after the other";
}

TEST(DataMemoryTest, OfTheFirstExamplesAloneTheTokensAreKept) {
  v1::JobSpec spec = FinetuneWithData();
  const std::vector<InputView> inputs = {SmallModel(), Squad("data")};
  const DataMemory all = DataMemoryOf(spec, inputs, kBytesPerToken);
  spec.mutable_finetune()->set_limit_examples(1'300);
  const DataMemory some = DataMemoryOf(spec, inputs, kBytesPerToken);
  EXPECT_NEAR(static_cast<double>(some.held_bytes), static_cast<double>(all.held_bytes) / 100, 2);
  EXPECT_GT(some.reading_bytes, 70'000'000) << "the whole file is read";
}

// The examples of a text are windows of the job's length, not lines.
TEST(DataMemoryTest, ATextsLongestExampleMayBeAllOfIt) {
  const DataMemory memory =
      DataMemoryOf(FinetuneWithData(),
                   std::vector<InputView>{SmallModel(), Text("data", 8'000'000)}, kBytesPerToken);
  EXPECT_TRUE(memory.is_text);
  EXPECT_EQ(memory.longest_tokens, 8'000'001);
  EXPECT_NEAR(static_cast<double>(memory.held_bytes), 4 * 2e6 + 2e6 / 256 * 72, 1e4);
  EXPECT_GT(memory.reading_bytes, 8'000'000 + 8 * 2'000'000 + memory.held_bytes - 1);
}

TEST(DataMemoryTest, ConversationsHaveARangeForEachTurn) {
  InputView chat{.field = "data", .artifact = {}};
  chat.artifact.set_size_bytes(1'200'000);
  v1::DatasetStatistics& data = *chat.artifact.mutable_dataset();
  data.set_format("chat");
  data.set_examples(1'000);
  data.set_mean_byte_length(1'000);
  for (int i = 0; i < 3; ++i) {
    data.add_byte_length_quantiles(1'000);
    data.add_message_count_quantiles(4);
  }
  const DataMemory memory =
      DataMemoryOf(FinetuneWithData(), std::vector<InputView>{SmallModel(), chat}, kBytesPerToken);
  EXPECT_NEAR(static_cast<double>(memory.held_bytes), 1'000 * (4 * 251 + 24 + 5 * 24.0), 1e3);
}

TEST(DataMemoryTest, AnswersAreScoredBesideTheQuestions) {
  v1::JobSpec spec;
  spec.mutable_evaluate()->set_sequence_length(256);
  const std::vector<InputView> inputs = {SmallModel(), Squad("data")};
  EXPECT_EQ(DataMemoryOf(spec, inputs, kBytesPerToken).questions_bytes, 0);
  spec.mutable_evaluate()->set_score_answers(true);
  const DataMemory memory = DataMemoryOf(spec, inputs, kBytesPerToken);
  EXPECT_GT(memory.questions_bytes, 27'000'000) << "the texts at least";
  EXPECT_GT(memory.reading_questions_bytes, memory.questions_bytes + 43'000'000);
}

// Perplexity per word: the bounds of each word (16 bytes for 6 of the text) are held beside the
// tokens, which have 8 bytes each when made and 4 when held.
TEST(DataMemoryTest, AnEvaluatedTextHasItsWordsBesideIt) {
  v1::JobSpec spec;
  spec.mutable_evaluate();
  const DataMemory memory = DataMemoryOf(
      spec, std::vector<InputView>{SmallModel(), Text("data", 12'000'000)}, kBytesPerToken);
  EXPECT_GT(memory.reading_bytes, 12'000'000 + 3'000'000 * (8 + 4) + 32'000'000);
}

TEST(DataMemoryTest, NothingIsKnownOfDeclaredDataAndOfOtherKinds) {
  EXPECT_EQ(DataMemoryOf(FinetuneWithData(), std::vector<InputView>{SmallModel()}, 4).held_bytes,
            0);
  v1::JobSpec generate;
  generate.mutable_generate();
  EXPECT_EQ(
      DataMemoryOf(generate, std::vector<InputView>{SmallModel(), Squad("data")}, 4).held_bytes, 0);
}

// The runner keeps room for the longest prompt and its answer (LongestSequence in
// worker/engine/generate), not for the model's context.
TEST(DataMemoryTest, AGenerationHasRoomForItsOwnPrompts) {
  v1::JobSpec spec;
  spec.mutable_generate()->add_prompts(std::string(40, 'a'));
  spec.mutable_generate()->add_prompts(std::string(100, 'a'));
  spec.mutable_generate()->set_max_new_tokens(28);
  const std::vector<InputView> model = {SmallModel()};
  const auto tokens = [&](int64_t context) {
    return MemoryWorkloadOf(spec, context, DataMemoryOf(spec, model, 4)).sequence_tokens;
  };
  EXPECT_EQ(tokens(1024), 100 + 1 + 1 + 28) << "each byte a token, a space before, an end token";
  EXPECT_EQ(tokens(64), 64) << "no sequence is longer than the context";
  spec.mutable_generate()->set_chat(true);
  EXPECT_EQ(tokens(1024), 1024) << "what a template that is not known writes is not known";
}

TEST(DataMemoryTest, AReferenceModelHasTheFormOfItsFiles) {
  v1::JobSpec spec;
  spec.mutable_evaluate()->set_reference_model("teacher");
  InputView reference{.field = "reference_model", .artifact = SmallModel().artifact};
  const auto form = [&] {
    const MemoryWorkload workload = MemoryWorkloadOf(
        spec, 1024, DataMemoryOf(spec, std::vector<InputView>{SmallModel(), reference}, 4));
    EXPECT_TRUE(workload.beside_reference);
    return RecipeIdentity(workload.reference_recipe);
  };
  EXPECT_EQ(form(), "none");
  *reference.artifact.mutable_recipe() = *RecipeOfIdentity("int4-g32+head=int6-g16");
  EXPECT_EQ(form(), "int4-g32+head=int6-g16");
}

TEST(DataMemoryTest, AGenerationFromAFileHasRoomForItsLongestPrompt) {
  v1::JobSpec spec;
  spec.mutable_generate()->set_data("prompts");
  InputView prompts{.field = "data", .artifact = {}};
  v1::DatasetStatistics& data = *prompts.artifact.mutable_dataset();
  data.set_examples(10);
  data.set_mean_byte_length(60);
  const auto tokens = [&] {
    return MemoryWorkloadOf(spec, 1024,
                            DataMemoryOf(spec, std::vector<InputView>{SmallModel(), prompts}, 4))
        .sequence_tokens;
  };
  EXPECT_EQ(tokens(), 1024) << "a mean bounds no prompt";
  data.add_byte_length_quantiles(50);
  data.add_byte_length_quantiles(200);
  EXPECT_EQ(tokens(), 200 + 1 + 32);
  spec.mutable_generate()->clear_data();
  spec.mutable_generate()->set_prompt_count(10);
  EXPECT_EQ(MemoryWorkloadOf(spec, 1024, DataMemoryOf(spec, {SmallModel()}, 4)).sequence_tokens,
            1024);
}

}  // namespace
}  // namespace wattle::scheduler
