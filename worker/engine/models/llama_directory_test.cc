// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A Hugging Face directory of the Llama family from end to end, against results of transformers and
// its tokenizer for the same files (tests/golden/engine/llama_tiny): tokens, greedy continuation,
// loss of a text in windows, a training step and the saved result.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/durable_file.h"
#include "base/testing/status_matchers.h"
#include "formats/byte_pair_encoding.h"
#include "formats/safetensors.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

const std::string& Directory() {
  static const auto& path = *new std::string(GoldenPath("llama_tiny"));
  return path;
}

nlohmann::json Expected() {
  return nlohmann::json::parse(FileBytes(Directory() + "/expected.json"));
}

formats::BytePairEncoding Tokenizer() {
  auto tokenizer = formats::BytePairEncoding::LoadDirectory(Directory());
  EXPECT_THAT(tokenizer, IsOk());
  return *std::move(tokenizer);
}

EvaluateSettings TextEvaluation() {
  EvaluateSettings settings;
  settings.model = JobOn(Directory());
  settings.data = NewTestDirectory("text") + "/text.txt";
  EXPECT_THAT(WriteFileDurably(settings.data, Expected()["text"].get<std::string>()), IsOk());
  return settings;
}

TEST(LlamaDirectoryTest, TextBecomesTheTokensOfTheReference) {
  const formats::BytePairEncoding tokenizer = Tokenizer();
  const nlohmann::json expected = Expected();
  ASSERT_THAT(expected["encodings"], testing::Not(testing::IsEmpty()));
  for (const nlohmann::json& each : expected["encodings"]) {
    const auto text = each["text"].get<std::string>();
    const std::vector<int64_t> tokens = tokenizer.Encode(text);
    EXPECT_EQ(tokens, each["tokens"].get<std::vector<int64_t>>()) << text;
    // The tokenizer's mark of a space decodes to a space, even if the text had the mark.
    EXPECT_EQ(tokenizer.Decode(tokens),
              text.empty() ? "" : " " + absl::StrReplaceAll(text, {{"▁", " "}}));
  }
  EXPECT_EQ(tokenizer.EncodeDocument("the sun").front(), 1);
  EXPECT_EQ(tokenizer.eos_token_id(), 2);
}

TEST(LlamaDirectoryTest, GreedyContinuationIsThatOfTheReference) {
  RecordingSink sink;
  const auto model = LoadForInference(JobOn(Directory()), sink);
  ASSERT_THAT(model, IsOk());
  const nlohmann::json expected = Expected();
  ASSERT_THAT(expected["encodings"], testing::Not(testing::IsEmpty()));
  const std::vector<int64_t> prompt =
      Tokenizer().EncodeDocument(expected["prompt"].get<std::string>());
  EXPECT_EQ(GenerateTokens(model->decoder, prompt, 20, {}, 0),
            expected["generated"].get<std::vector<int64_t>>());
}

TEST(LlamaDirectoryTest, LossOfATextIsThatOfTheReference) {
  RecordingSink sink;
  const auto result = Evaluate(TextEvaluation(), sink);
  ASSERT_THAT(result, IsOk());
  const nlohmann::json expected = Expected();
  ASSERT_THAT(expected["encodings"], testing::Not(testing::IsEmpty()));
  const auto wanted = expected["loss"].get<double>();
  EXPECT_NEAR(result->figures.loss, wanted, 1e-5 * wanted);
  EXPECT_EQ(result->figures.predicted_tokens, expected["predicted_tokens"].get<int64_t>());
}

// A copy of the directory with its weights in two files.
std::string ShardedDirectory() {
  std::string copy = NewTestDirectory("sharded");
  for (const char* file : {"config.json", "tokenizer.json"}) {
    EXPECT_THAT(WriteFileDurably(copy + "/" + file, FileBytes(Directory() + "/" + file)), IsOk());
  }
  const auto whole = formats::SafetensorsFile::Open(Directory() + "/model.safetensors");
  EXPECT_THAT(whole, IsOk());
  nlohmann::json index;
  for (const size_t part : {0U, 1U}) {
    const std::string name = absl::StrCat("model-0000", part + 1, "-of-00002.safetensors");
    std::vector<formats::TensorDescription> tensors;
    for (size_t i = part; i < whole->tensors().size(); i += 2) {
      tensors.push_back(whole->tensors()[i]);
      index["weight_map"][tensors.back().name] = name;
    }
    auto writer = formats::SafetensorsWriter::Create(copy + "/" + name, tensors);
    EXPECT_THAT(writer, IsOk());
    for (const formats::TensorDescription& tensor : tensors) {
      EXPECT_THAT(writer->Write(tensor.name, BytesOf(*whole, *whole->Find(tensor.name))), IsOk());
    }
    EXPECT_THAT(writer->Commit(), IsOk());
  }
  EXPECT_THAT(WriteFileDurably(copy + "/model.safetensors.index.json", index.dump()), IsOk());
  return copy;
}

TEST(LlamaDirectoryTest, ShardedWeightsAreTheSameModelAndASavedResultIsOneFile) {
  EvaluateSettings settings = TextEvaluation();
  settings.model = JobOn(ShardedDirectory());
  RecordingSink sink;
  const auto result = Evaluate(settings, sink);
  ASSERT_THAT(result, IsOk());
  const auto wanted = Expected()["loss"].get<double>();
  EXPECT_NEAR(result->figures.loss, wanted, 1e-5 * wanted);
  const auto files = models::InspectModelDirectory(settings.model.directory);
  ASSERT_THAT(files, IsOk());
  EXPECT_THAT(files->files, testing::ElementsAre("config.json", "model-00001-of-00002.safetensors",
                                                 "model-00002-of-00002.safetensors",
                                                 "model.safetensors.index.json", "tokenizer.json"));
  const auto model = LoadForInference(JobOn(settings.model.directory), sink);
  ASSERT_THAT(model, IsOk());
  const std::string saved = NewTestDirectory("saved");
  ASSERT_THAT(SaveModel(saved, *model), IsOk());
  const auto again = models::InspectModelDirectory(saved);
  ASSERT_THAT(again, IsOk());
  EXPECT_THAT(again->files,
              testing::ElementsAre("config.json", "model.safetensors", "tokenizer.json"));
}

TEST(LlamaDirectoryTest, Int8ChangesTheLossLittle) {
  RecordingSink sink;
  EvaluateSettings settings = TextEvaluation();
  settings.model.recipe = *RecipeOfIdentity("int8");
  const auto result = Evaluate(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_NEAR(result->figures.loss, Expected()["loss"].get<double>(), 0.05);
}

TEST(LlamaDirectoryTest, TrainingLowersTheLossAndTheResultIsAModel) {
  FinetuneSettings settings;
  settings.model = JobOn(Directory());
  settings.data = TextEvaluation().data;
  settings.work_directory = NewTestDirectory("work");
  settings.output_directory = NewTestDirectory("output");
  settings.steps = 6;
  settings.batch_size = 2;
  settings.learning_rate = 1e-2;
  settings.examples.sequence_length = 32;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_LT(result->train_loss_last, 0.9 * result->train_loss_first);
  const auto saved = models::InspectModelDirectory(settings.output_directory);
  ASSERT_THAT(saved, IsOk());
  EXPECT_EQ(saved->config.family, "llama");
}

}  // namespace
}  // namespace wattle::engine
