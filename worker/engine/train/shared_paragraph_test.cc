// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// SQuAD fine-tuning that computes a paragraph once for its several questions: losses, held-out loss
// and the gradient of a batch equal those of the same examples padded, step by step. Tiny model,
// one thread.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/testing/status_matchers.h"
#include "formats/byte_pair_encoding.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_operators.h"
#include "worker/engine/train/data_order.h"
#include "worker/engine/train/examples.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

constexpr int64_t kBatch = 3;            // a paragraph's four questions never fill a batch
constexpr double kLossTolerance = 1e-5;  // FP32 sums over other rows

struct Question {
  std::string context;
  std::string text;
  std::string answer;
};

// Six paragraphs of four questions each, with different answers.
std::vector<Question> QuestionsOfParagraphs() {
  const std::vector<std::string> words = {"mast", "board", "sun", "cell", "farm", "node"};
  std::vector<Question> questions;
  for (size_t paragraph = 0; paragraph < words.size(); ++paragraph) {
    std::string context = "on";
    for (size_t i = 0; i < 4; ++i) {
      absl::StrAppend(&context, " ", words[(paragraph + i) % words.size()]);
    }
    for (size_t i = 0; i < 4; ++i) {
      questions.push_back(
          {context, std::string(1 + i % 2, '?'), words[(paragraph + i) % words.size()]});
    }
  }
  return questions;
}

// A SQuAD file in which each question shares a paragraph entry with the preceding ones of the same
// context, or has an entry of its own.
std::string WriteSquad(const std::string& name, const std::vector<Question>& questions,
                       bool one_by_one) {
  nlohmann::json paragraphs = nlohmann::json::array();
  for (size_t i = 0; i < questions.size(); ++i) {
    const auto& [context, text, answer] = questions[i];
    if (one_by_one || i == 0 || questions[i - 1].context != context) {
      paragraphs.push_back({{"context", context}, {"qas", nlohmann::json::array()}});
    }
    paragraphs.back()["qas"].push_back(
        {{"id", absl::StrCat("q", i)},
         {"question", text},
         {"is_impossible", false},
         {"answers", {{{"text", answer}, {"answer_start", context.find(answer)}}}}});
  }
  const nlohmann::json data = {{"version", "v2.0"},
                               {"data", {{{"title", "t"}, {"paragraphs", std::move(paragraphs)}}}}};
  const std::string path = absl::StrCat(NewTestDirectory(name), "/data.json");
  std::ofstream(path) << data.dump();
  return path;
}

formats::ExamplePool PoolOf(const FinetuneSettings& settings) {
  const auto tokenizer = formats::BytePairEncoding::LoadDirectory(settings.model.directory);
  EXPECT_THAT(tokenizer, IsOk());
  auto examples = LoadExamples(settings.data, settings.model.directory, *tokenizer, TinyConfig(),
                               settings.examples);
  EXPECT_THAT(examples, IsOk());
  return std::move(examples->pool);
}

// One epoch over the paragraphs, without dropout, whose numbers depend on the rows.
FinetuneSettings ParagraphFinetune(const std::string& name, bool packing) {
  FinetuneSettings settings = TinyFinetune(name);
  TakeDropoutAway(settings);
  settings.data = WriteSquad(name + "_paragraphs", QuestionsOfParagraphs(), false);
  settings.heldout_data = settings.data;
  settings.batch_size = kBatch;
  settings.epochs = 1;
  settings.packing = packing;
  return settings;
}

// The packed run draws paragraph by paragraph, the padded one question by question. The same
// questions, in a file whose order makes the padded run draw them in the packed run's order.
std::vector<Question> InTheOrderOf(const FinetuneSettings& packed) {
  const std::vector<Question> questions = QuestionsOfParagraphs();
  const auto count = static_cast<int64_t>(questions.size());
  DataOrder by_paragraph(packed.seed, count, RunsThatBeginAlike(PoolOf(packed)));
  DataOrder by_question(packed.seed, count);
  std::vector<Question> ordered(questions.size());
  for (int64_t position = 0; position < count; ++position) {
    ordered[static_cast<size_t>(by_question.At(position))] =
        questions[static_cast<size_t>(by_paragraph.At(position))];
  }
  return ordered;
}

class SharedParagraphTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_F(SharedParagraphTest, TrainsLikeThePaddedQuestionsStepByStep) {
  const FinetuneSettings packed = ParagraphFinetune("packed", true);
  FinetuneSettings padded = ParagraphFinetune("padded", false);
  padded.data = WriteSquad("one_by_one", InTheOrderOf(packed), true);
  RecordingSink packed_sink;
  RecordingSink padded_sink;
  const auto got = Finetune(packed, packed_sink);
  const auto wanted = Finetune(padded, padded_sink);
  ASSERT_THAT(got, IsOk());
  ASSERT_THAT(wanted, IsOk());
  EXPECT_LT(got->work.tokens, got->work.real_tokens * 3 / 4) << "paragraphs were computed once";
  EXPECT_GE(wanted->work.tokens, wanted->work.real_tokens);
  EXPECT_EQ(got->work.real_tokens, wanted->work.real_tokens);
  ASSERT_EQ(got->work.steps, 4);
  ASSERT_EQ(packed_sink.steps.size(), padded_sink.steps.size());
  for (size_t i = 0; i < packed_sink.steps.size(); ++i) {
    const StepReport& step = packed_sink.steps[i];
    const StepReport& other = padded_sink.steps[i];
    if (step.phase == Phase::kTrain) {
      EXPECT_EQ(step.examples, other.examples) << "step " << step.step;
      EXPECT_EQ(step.real_tokens, other.real_tokens) << "step " << step.step;
      EXPECT_NEAR(step.loss, other.loss, kLossTolerance * other.loss) << "step " << step.step;
    }
  }
  EXPECT_LT(*wanted->heldout_loss_after, *wanted->heldout_loss_before - 0.1);
  EXPECT_NEAR(*got->heldout_loss_after, *wanted->heldout_loss_after,
              kLossTolerance * *wanted->heldout_loss_after);
}

TEST_F(SharedParagraphTest, TheGradientOfABatchIsThatOfItsPaddedQuestions) {
  const FinetuneSettings settings = ParagraphFinetune("run", true);
  const formats::ExamplePool pool = PoolOf(settings);
  const auto model = LoadModel(settings.model.directory, {.device = TestDeviceName()});
  ASSERT_THAT(model, IsOk());
  const std::vector<size_t> drawn = {4, 5, 6};
  const auto gradient = [&](const TokenBatch& batch) {
    at::Tensor values = at::zeros_like(model->arena);
    DecoderWeights views =
        WeightsOver(model->files.config, model->parameters, model->layout, values);
    LossSumAndGradients(model->decoder, batch, DropoutState{},
                        1.0 / static_cast<double>(batch.targets.size()), views);
    return values;
  };
  const TokenBatch shared = MakeTokenBatch(pool, drawn, BatchForm::kPacked);
  const TokenBatch padded = MakeTokenBatch(pool, drawn, BatchForm::kPadded);
  ASSERT_EQ(shared.groups.size(), 1U);
  ASSERT_EQ(shared.groups[0].branches.size(), drawn.size()) << "the paragraph is not shared";
  ASSERT_EQ(shared.targets, padded.targets);
  const at::Tensor got = gradient(shared);
  const at::Tensor wanted = gradient(padded);
  for (size_t i = 0; i < model->parameters.size(); ++i) {
    EXPECT_LT(RelativeError(ArenaView(got, model->layout, model->parameters, i),
                            ArenaView(wanted, model->layout, model->parameters, i)),
              kGradientTolerance)
        << model->parameters[i].tensor.name;
  }
}

}  // namespace
}  // namespace wattle::engine
