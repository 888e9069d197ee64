// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Vectors of texts against transformers (tests/golden/engine/embeddings.json).
#include "worker/engine/embed/embed.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/durable_file.h"
#include "base/status_matchers.h"
#include "formats/safetensors.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/models/test_golden.h"
#include "worker/engine/test_model.h"

namespace wattle::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Vectors = std::vector<std::vector<float>>;

nlohmann::json ExpectedVectors() {
  return nlohmann::json::parse(FileBytes(GoldenPath("embeddings.json")));
}

std::string WriteData(const std::string& name, const std::string& content) {
  const std::string path = absl::StrCat(NewTestDirectory("data"), "/", name);
  EXPECT_THAT(WriteFileDurably(path, content), IsOk());
  return path;
}

EmbedSettings OfTheGoldenTexts() {
  const nlohmann::json expected = ExpectedVectors();
  std::string lines;
  for (const nlohmann::json& text : expected["texts"]) {
    lines += nlohmann::json{{"prompt", text}}.dump() + "\n";
  }
  return {.model = {.directory = GoldenPath("llama_tiny")},
          .data = WriteData("texts.jsonl", lines),
          .sequence_length = expected["sequence_length"],
          .batch_size = 2,
          .output_directory = NewTestDirectory("embeddings")};
}

Vectors WrittenVectors(const EmbedSettings& settings) {
  const auto file =
      formats::SafetensorsFile::Open(absl::StrCat(settings.output_directory, "/", kEmbeddingsFile));
  EXPECT_THAT(file, IsOk());
  const formats::TensorEntry* const tensor = file->Find("embeddings");
  EXPECT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->type, formats::DataType::kF32);
  const std::vector<std::byte> bytes = BytesOf(*file, *tensor);
  const auto* floats = reinterpret_cast<const float*>(bytes.data());
  Vectors vectors;
  for (int64_t i = 0; i < tensor->shape.at(0); ++i) {
    vectors.emplace_back(floats + i * tensor->shape.at(1), floats + (i + 1) * tensor->shape.at(1));
  }
  return vectors;
}

Vectors VectorsOf(const EmbedSettings& settings) {
  RecordingSink sink;
  EXPECT_THAT(Embed(settings, sink), IsOk());
  return WrittenVectors(settings);
}

double LargestDifference(const Vectors& got, const Vectors& wanted) {
  EXPECT_EQ(got.size(), wanted.size());
  double largest = 0.0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(got.at(i).size(), wanted[i].size());
    for (size_t j = 0; j < wanted[i].size(); ++j) {
      largest = std::max(largest, std::abs(static_cast<double>(got[i].at(j)) - wanted[i][j]));
    }
  }
  return largest;
}

TEST(EmbedTest, VectorsAgreeWithTransformersInTheOrderOfTheFile) {
  const nlohmann::json expected = ExpectedVectors();
  const EmbedSettings settings = OfTheGoldenTexts();
  RecordingSink sink;
  const auto result = Embed(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_LT(LargestDifference(WrittenVectors(settings), expected["embeddings"].get<Vectors>()),
            1e-5);
  EXPECT_EQ(result->work.examples, 5);
  EXPECT_EQ(result->work.steps, 3);
  EXPECT_EQ(result->truncated_texts, expected["truncated"].get<int64_t>());
  EXPECT_EQ(result->work.real_tokens, 3 + 24 + 2 + 7 + 21);
  EXPECT_EQ(result->work.tokens, 2 * 24 + 2 * 7 + 2);
  EXPECT_EQ(sink.steps.back().tokens_left, 0);
}

TEST(EmbedTest, EachLineOfATextThatIsNotBlankIsOne) {
  EmbedSettings settings = OfTheGoldenTexts();
  const nlohmann::json expected = ExpectedVectors();
  std::string lines = "\n";
  for (const nlohmann::json& text : expected["texts"]) {
    lines += text.get<std::string>() + "\r\n \n";
  }
  settings.data = WriteData("texts.txt", lines);
  settings.limit_texts = 4;
  auto wanted = expected["embeddings"].get<Vectors>();
  wanted.resize(4);
  EXPECT_LT(LargestDifference(VectorsOf(settings), wanted), 1e-5);
}

TEST(EmbedTest, TheBatchSizeChangesNoVector) {
  EmbedSettings settings = OfTheGoldenTexts();
  settings.batch_size = 1;
  const Vectors alone = VectorsOf(settings);
  settings.batch_size = 8;
  EXPECT_LT(LargestDifference(VectorsOf(settings), alone), 1e-6);
}

TEST(EmbedTest, QuantizedWeightsGiveVectorsThatAreNear) {
  EmbedSettings settings = OfTheGoldenTexts();
  const Vectors wanted = VectorsOf(settings);
  settings.model.recipe = *RecipeOfIdentity(kInt8Quantization);
  const Vectors got = VectorsOf(settings);
  const double difference = LargestDifference(got, wanted);
  EXPECT_GT(difference, 1e-5);
  EXPECT_LT(difference, 0.05);
  for (const std::vector<float>& vector : got) {
    double square = 0.0;
    for (const float value : vector) {
      square += static_cast<double>(value) * value;
    }
    EXPECT_NEAR(square, 1.0, 1e-6);
  }
}

TEST(EmbedTest, WhatHasNoTextsIsRefused) {
  EmbedSettings settings = OfTheGoldenTexts();
  RecordingSink sink;
  settings.data =
      WriteData("prompts.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n");
  EXPECT_THAT(Embed(settings, sink).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(settings.data), HasSubstr("prompt 1: is a conversation"))));
  settings.data = MakeTinySquad("squad", 1);
  EXPECT_THAT(Embed(settings, sink).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("squad: wants texts")));
  settings = OfTheGoldenTexts();
  settings.sequence_length = 1 << 20;
  EXPECT_THAT(Embed(settings, sink).status(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                       HasSubstr("sequence_length: 1048576")));
}

TEST(EmbedTest, StopsBetweenBatches) {
  const EmbedSettings settings = OfTheGoldenTexts();
  RecordingSink sink;
  sink.decide = [](const StepReport&) { return StepDecision::kStop; };
  EXPECT_THAT(Embed(settings, sink).status(),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stopped while embedding")));
  EXPECT_EQ(sink.steps.size(), 1U);
}

}  // namespace
}  // namespace wattle::engine
